from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sagedock.server.zero_copy import UVICORN_INTERNALS


def test_what_is_used_of_uvicorns_inside_is_there() -> None:
    made = set(RequestResponseCycle.__init__.__code__.co_names)

    assert set(UVICORN_INTERNALS) <= made
