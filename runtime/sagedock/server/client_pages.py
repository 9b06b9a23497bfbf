"""What a client needs that has nothing of ours on its disk: in another container, or beside one.

eval "$(curl -s http://127.0.0.1:4599/_sagedock/env)"
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse


def client_router(authority: Path, script: Callable[[str], str]) -> APIRouter:
    """`authority` is the certificate that signs for AWS's hosts; `script` makes a shell's lines
    for clients that call us at an address. The address is that at which we are asked, so that the
    lines are right for a published port and for a container's name alike."""
    router = APIRouter(prefix="/_sagedock")

    @router.get("/authority.pem")
    def pem() -> PlainTextResponse:
        return PlainTextResponse(authority.read_text(encoding="ascii"))

    @router.get("/env")
    def env(request: Request) -> PlainTextResponse:
        return PlainTextResponse(script(f"http://{request.headers['host']}"))

    return router
