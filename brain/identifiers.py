"""What may stand as a plan id, a symbol or an order id, and how raw field values become text."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: No field that this service reads for its meaning is longer (bytes).
LONGEST_FIELD = 65_536

_PLAN_ID = re.compile(rb"[ -~]{1,256}")
# The excluded characters separate or match names in Redis keys.
_SYMBOL = re.compile(r"[^\s:*?\[\]{}]{1,32}")
_WHOLE_NUMBER_AS_FLOAT = re.compile(r"[0-9]+\.[0-9]*")
_ORDER_ID = re.compile(r"[!-~]{1,64}")
_NOT_GIVEN = frozenset({"", "none", "null"})


class UnreadableFieldError(ValueError):
    """A field's bytes are no text, or more than any honest publisher sends."""


def field_text(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    """A field as text without surrounding white space.

    None when it is missing or not given: empty, or the `None` and `null` that publishers write for nothing.
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


def given(text: str) -> str | None:
    """The text without surrounding white space, or None for what publishers write for nothing."""
    text = text.strip()
    return None if text.lower() in _NOT_GIVEN else text


def plan_id_text(raw: bytes) -> str | None:
    """A plan id exactly as it was sent: 1 to 256 printable ASCII characters; None for anything else."""
    return raw.decode("ascii") if _PLAN_ID.fullmatch(raw) else None


def is_symbol(text: str) -> bool:
    """1 to 32 printable characters that a key may hold; not ASCII alone, since Binance lists others too."""
    return text.isprintable() and _SYMBOL.fullmatch(text) is not None


def is_order_id(text: str) -> bool:
    """1 to 64 visible ASCII characters; not `0`, and not a number that went through a float on its way."""
    return (
        text != "0" and _ORDER_ID.fullmatch(text) is not None and not _WHOLE_NUMBER_AS_FLOAT.fullmatch(text)
    )
