"""Addresses of the pages of plans and symbols."""

from __future__ import annotations

from urllib.parse import quote

#: A browser leaves these segments out of a path, quoted or not.
_DOTS = (".", "..")


def plan_link(plan_id: str) -> str:
    """Return the address of a plan's page."""
    if plan_id in _DOTS:
        return f"/plans?plan_id={plan_id}"
    return f"/plans/{quote(plan_id, safe='')}"


def symbol_link(symbol: str) -> str:
    """Return the address of a symbol's page."""
    if symbol in _DOTS:
        return f"/find?q={symbol}"
    return f"/symbols/{quote(symbol, safe='')}"
