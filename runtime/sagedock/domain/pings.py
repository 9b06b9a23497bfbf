"""How soon a container must answer `/ping` (your-algorithms-inference-code: within 2 seconds)."""

from __future__ import annotations

PING_TIMEOUT_SECONDS = 2.0
