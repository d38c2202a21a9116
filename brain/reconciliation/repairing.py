"""Repair of a ledger: missing fills booked through the ledger's own arithmetic, never set to an amount."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from brain.identifiers import OrderId
from brain.ledger.booking import ledger_fields, moved, next_version
from brain.ledger.ledger import StoredLedger, UnreadableLedgerError, parse_ledger
from brain.ledger.order_memory import OrderMemory, encode_memory
from brain.numbers import EXACT, NotANumberError, plain
from brain.positions.position import Leg
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Growth


class Repaired(msgspec.Struct, frozen=True):
    """Values to store: the ledger's complete hash, and the memory of each order by its id.

    `ledger` and `version` are those afterwards, for the next comparison.
    """

    fields: dict[str, str]
    memories: dict[OrderId, str]
    ledger: StoredLedger
    version: str


def repair(drift: Drift, stored: StoredLedger, growths: Sequence[Growth], *, now_ms: int) -> Repaired | str:
    """Book growths on the ledger that the drift was found with, as results would; a text: why not.

    `stored` has to be the ledger as compared, `growths` those of an `Explained`. `now_ms`: Redis's clock,
    the time of the booking. In hedge mode the ledger's legs are those that were compared. The late result of
    an order then adds only what it has filled beyond its memory.
    """
    now_sec = Decimal(now_ms).scaleb(-3)
    try:
        ledger = _as_compared(drift, stored)
        for growth in sorted(growths, key=lambda each: each.time_ms):
            after = moved(ledger, growth.leg, growth.signed, order_id=growth.order_id, now_sec=now_sec)
            if after is None:
                return "the ledger's legs are not known"
            ledger = after
        version = next_version(drift.version)
        fields = ledger_fields(ledger, version=version, source="reconciled", now_sec=now_sec)
    except (UnreadableLedgerError, NotANumberError) as error:
        return f"the ledger cannot be moved: {error}"
    memories = {growth.order_id: encode_memory(OrderMemory(growth.cumulative, now_ms)) for growth in growths}
    return Repaired(fields, memories, ledger, str(version))


def _as_compared(drift: Drift, stored: StoredLedger) -> StoredLedger:
    """Return the ledger with the amounts as compared: without a float's residue.

    After a correction of the sum the legs that are stored may be old.
    """
    amounts = {each.leg: each.ledger for each in drift.legs}
    if Leg.BOTH in amounts:
        if parse_ledger(StoredLedger(last_known_amt=stored.last_known_amt)) is None:
            return stored
        return msgspec.structs.replace(stored, last_known_amt=plain(amounts[Leg.BOTH]))
    long, short = amounts[Leg.LONG], amounts[Leg.SHORT]
    return msgspec.structs.replace(
        stored,
        last_known_amt=plain(EXACT.add(long, short)),
        long_amt=plain(long),
        short_amt=plain(short),
    )
