"""What sagedock says about itself, under /_sagedock/: is it up, is it ready, what is it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, Response


@dataclass(frozen=True, slots=True)
class Info:
    """What `GET /_sagedock/info` tells, beside the uptime."""

    version: str
    home: str
    region: str
    account: str
    backend: str


def health_router(info: Info, is_ready: Callable[[], bool]) -> APIRouter:
    """Routes for people, health checks and `sagedock status`.

    `is_ready` turns true when resources of an earlier life are adopted; asked on the event loop,
    so it must answer at once.
    """
    router = APIRouter(prefix="/_sagedock")
    started = time.monotonic()

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready")
    async def ready(response: Response) -> dict[str, str]:
        if is_ready():
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "starting"}

    @router.get("/info")
    async def about() -> dict[str, Any]:
        return {**asdict(info), "uptime_seconds": round(time.monotonic() - started, 3)}

    return router
