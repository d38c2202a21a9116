"""Addresses of the pages of plans and symbols."""

from __future__ import annotations

from urllib.parse import quote


def plan_link(plan_id: str) -> str:
    """Return the address of a plan's page."""
    return f"/plans/{quote(plan_id, safe='')}"


def symbol_link(symbol: str) -> str:
    """Return the address of a symbol's page."""
    return f"/symbols/{quote(symbol, safe='')}"
