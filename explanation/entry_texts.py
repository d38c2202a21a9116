"""Entries of streams as text, and the orders that a result names."""

from __future__ import annotations

from collections.abc import Mapping

from brain.ledger.result import ExecutedResult, read_result


def texts_of(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return fields as text, each in full."""
    return {
        name.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
        for name, value in fields.items()
    }


def orders_of(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the orders that a result names, in any dialect."""
    read = read_result({name.encode(): value.encode() for name, value in fields.items()})
    return tuple(each.order_id for each in read.orders) if isinstance(read, ExecutedResult) else ()
