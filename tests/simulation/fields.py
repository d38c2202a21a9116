"""The fields of a stream's entry, as publishers write them."""

from __future__ import annotations

from decimal import Decimal

Fields = dict[str, str]


def plain(value: Decimal) -> str:
    """A decimal without an exponent."""
    return f"{value:f}"


def as_entry(fields: Fields) -> dict[str | bytes, str | bytes]:
    """Fields as Redis takes them."""
    return dict(fields.items())
