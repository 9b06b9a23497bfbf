"""One named thread per thing that runs; the only place that starts threads for lifecycles."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("sagedock.lifecycle")


class Supervisor:
    """Starts work by key (an ARN) and waits for it at the end.

    `closing` is set when the emulator stops: whoever waits for something waits for this too.
    """

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def spawn(self, key: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own. A daemon: what must survive is on disk already."""

        def guarded() -> None:
            try:
                work()
            except Exception:
                log.exception("The thread of %s ended with an error of sagedock's own", key)
            finally:
                with self._lock:
                    if self._threads.get(key) is threading.current_thread():
                        del self._threads[key]

        thread = threading.Thread(target=guarded, name=key.rpartition(":")[2], daemon=True)
        with self._lock:
            if self.closing.is_set():
                return
            self._threads[key] = thread
        thread.start()

    def join(self, timeout: float) -> list[str]:
        """Wait until all have ended; the keys of those that have not after `timeout` seconds."""
        end = time.monotonic() + timeout
        with self._lock:
            threads = dict(self._threads)
        for thread in threads.values():
            thread.join(max(0.0, end - time.monotonic()))
        return [key for key, thread in threads.items() if thread.is_alive()]
