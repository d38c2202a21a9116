"""Memory of orders: what was booked of each, as text."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from brain.numbers import NotANumberError, parse_decimal, plain

_CLOSES = "|close"
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)


class UnreadableRecordError(ValueError):
    """A record that only this service writes is malformed. Ignoring it could count a fill twice."""


class OrderMemory(msgspec.Struct, frozen=True):
    """The booked quantity of an order (contracts), and the time of its booking (epoch ms).

    `closes`: it is of a RECONCILE_CLOSE, which moves no ledger.
    """

    cumulative: Decimal
    booked_ms: int
    closes: bool = False


def encode_memory(memory: OrderMemory) -> str:
    """Encode an order's memory as stored: `0.3|1760000000123`, with `|close` for one that moves no ledger."""
    return f"{plain(memory.cumulative)}|{memory.booked_ms}{_CLOSES if memory.closes else ''}"


def decode_memory(text: str) -> OrderMemory:
    """Decode an order's memory. Raises UnreadableRecordError."""
    cumulative, _, booked = text.removesuffix(_CLOSES).partition("|")
    booked_ms = int(booked) if _WHOLE.fullmatch(booked) else -1
    try:
        memory = OrderMemory(parse_decimal(cumulative), booked_ms, closes=text.endswith(_CLOSES))
    except NotANumberError as error:
        raise UnreadableRecordError(f"order memory {text[:80]!r}: {error}") from None
    if memory.booked_ms < 0 or memory.cumulative < 0:
        raise UnreadableRecordError(f"order memory {text[:80]!r}")
    return memory
