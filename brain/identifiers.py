"""Formats of plan ids, symbols and order ids, and the decoding of raw fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NewType, TypeGuard

Symbol = NewType("Symbol", str)
PlanId = NewType("PlanId", str)
EntryId = NewType("EntryId", str)
OrderId = NewType("OrderId", str)
ClientOrderId = NewType("ClientOrderId", str)
#: The lease as stored, `<token>@<process>:<instance>`, which every write carries.
FencingToken = NewType("FencingToken", str)

#: Longest field that this service parses (bytes).
LONGEST_FIELD = 65_536

_PLAN_ID = re.compile(rb"[ -~]{1,256}")
# The excluded characters separate or match names in Redis keys.
_SYMBOL = re.compile(r"[^\s:*?\[\]{}]{1,32}")
_WHOLE_NUMBER_AS_FLOAT = re.compile(r"[0-9]+\.[0-9]*")
_ORDER_ID = re.compile(r"[!-~]{1,64}")
_NOT_GIVEN = frozenset({"", "none", "null"})


class UnreadableFieldError(ValueError):
    """Field is not UTF-8, longer than the limit, or, in JSON, neither text nor a number."""


def field_text(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    """Return a field as text without surrounding white space.

    None when it is missing, empty, or the `None` or `null` that publishers write for no value.
    Raises UnreadableFieldError.
    """
    raw = fields.get(name)
    if raw is None:
        return None
    if len(raw) > LONGEST_FIELD:
        raise UnreadableFieldError(f"{name.decode()}: {len(raw)} bytes")
    try:
        return given(raw.decode())
    except UnicodeDecodeError:
        raise UnreadableFieldError(f"{name.decode()}: not UTF-8") from None


def lenient_text(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    """Return a field as `field_text` does; None also if it cannot be read."""
    try:
        return field_text(fields, name)
    except UnreadableFieldError:
        return None


def given(text: str) -> str | None:
    """Return text without surrounding white space; None when empty, `None` or `null`."""
    text = text.strip()
    return None if text.lower() in _NOT_GIVEN else text


def plan_id_text(raw: bytes) -> PlanId | None:
    """Return a plan id unchanged: 1 to 256 printable ASCII characters; None for anything else."""
    return PlanId(raw.decode("ascii")) if _PLAN_ID.fullmatch(raw) else None


def is_symbol(text: str) -> TypeGuard[Symbol]:
    """Return True for 1 to 32 printable characters, safe in a key; Binance lists non-ASCII symbols, too."""
    return text.isprintable() and _SYMBOL.fullmatch(text) is not None


def is_order_id(text: str) -> TypeGuard[OrderId]:
    """Return True for 1 to 64 visible ASCII characters; not `0`, nor a number in float notation."""
    return (
        text != "0" and _ORDER_ID.fullmatch(text) is not None and not _WHOLE_NUMBER_AS_FLOAT.fullmatch(text)
    )
