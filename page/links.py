"""Addresses of the pages of plans and symbols."""

from __future__ import annotations

import re
from urllib.parse import quote

#: A browser leaves these segments out of a path, quoted or not.
_DOTS = (".", "..")
#: Pages with forms. A symbol has 32 characters at most, of four quoted bytes each.
_WITH_FORMS = re.compile(r"/(?:act|notices|waiting|symbols/[A-Za-z0-9%._~-]{1,384})", re.ASCII)


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


def has_forms(address: str) -> bool:
    """Return True for the address of a page on which a person may act: a path of this service."""
    return _WITH_FORMS.fullmatch(address) is not None
