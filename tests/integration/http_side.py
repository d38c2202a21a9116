"""The daemon's HTTP side, as an operator's tools read it."""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec


async def body(url: str, path: str) -> str:
    """Return the body of an answer, whatever its status code."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{url}{path}", timeout=10)).text


async def status(url: str) -> dict[str, Any]:
    """Return the answer of `/status`."""
    document: dict[str, Any] = msgspec.json.decode(await body(url, "/status"))
    return document


async def metric(url: str, name: str) -> float:
    """Return the value of a metric without labels."""
    found = re.search(rf"^{name} (\S+)$", await body(url, "/metrics"), re.MULTILINE)
    assert found is not None, name
    return float(found[1])
