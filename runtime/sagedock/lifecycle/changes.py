"""News of resources: a job's thread says that something changed, whoever waits for it is called.

Nothing but the resource's name (its ARN) travels: who is called asks for the state itself, so no
news can be out of date or arrive in the wrong order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Callback = Callable[[], None]


class Changes:
    """Who wants to hear of which resource. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[str, list[Callback]] = {}

    def notify(self, resource: str) -> None:
        """Call everyone who subscribed to `resource`, in this thread. Say it after the new state
        can be read, never before."""
        with self._lock:
            callbacks = tuple(self._callbacks.get(resource, ()))
        for callback in callbacks:
            callback()

    def subscribe(self, resource: str, callback: Callback) -> Callback:
        """Call `callback` at each change of `resource` from now on; the result ends that.

        `callback` runs in the thread that notifies: it must be quick and must not raise. To miss
        nothing, subscribe first and read the resource's state afterwards.
        """
        with self._lock:
            self._callbacks.setdefault(resource, []).append(callback)

        def unsubscribe() -> None:
            with self._lock:
                callbacks = self._callbacks.get(resource, [])
                if callback in callbacks:
                    callbacks.remove(callback)
                if not callbacks:
                    self._callbacks.pop(resource, None)

        return unsubscribe
