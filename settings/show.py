"""Printable values of settings."""

from __future__ import annotations

from decimal import Decimal

from settings.notices import NoticeAddresses
from settings.variables import FIELD_OF, Settings


def shown(settings: Settings, variable: str) -> str:
    """Return a variable's value on one line, secrets masked; `-` where there is none."""
    value = getattr(settings, FIELD_OF[variable])
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, NoticeAddresses):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)
