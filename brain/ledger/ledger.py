"""The shadow ledger: the sum of our own executed orders."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import msgspec

from brain.numbers import ZERO, NotANumberError, parse_decimal
from brain.positions.position import Leg, LegPosition

#: Life of a ledger that nothing renews (ms).
LEDGER_TTL_MS = 86_400_000


class StoredLedger(msgspec.Struct, frozen=True):
    """The fields of `quantum:position:ledger:<symbol>` that decisions use, as stored text.

    None: the field is missing. A hash without `last_known_amt` is a missing ledger. The text is kept
    because operators correct it by hand, and a commit compares it with the text stored then.
    """

    last_known_amt: str | None = None
    last_order_id: str | None = None
    last_order_time_epoch: str | None = None
    long_amt: str | None = None
    short_amt: str | None = None


class Ledger(msgspec.Struct, frozen=True):
    """A readable ledger: signed amounts in contracts; `last_order_sec` in epoch seconds, None when none."""

    amount: Decimal
    long_amount: Decimal | None
    short_amount: Decimal | None
    last_order_sec: Decimal | None


class LedgerLegs(NamedTuple):
    """The signed amounts of a hedge-mode ledger's legs (contracts)."""

    long: Decimal
    short: Decimal


#: Instruction to the operator for a ledger without legs.
SET_THE_LEGS = "set last_known_amt, long_amt and short_amt in one HSET, or delete the hash to have it adopted"


def legs_of(
    ledger: Ledger, exchange: Iterable[LegPosition], *, moving: Leg | None = None
) -> LedgerLegs | None:
    """Return the legs of a hedge-mode ledger; None where they are unknown.

    The stored legs count if they add up to the amount. After a correction of the amount alone they follow
    from it where one leg of the exchange is flat. `moving` is the leg whose order is about to be booked: the
    exchange may show it before or after that order, so the other leg must be the flat one.
    """
    if ledger.long_amount is not None and ledger.short_amount is not None:
        stored = LedgerLegs(ledger.long_amount, ledger.short_amount)
        if stored.long + stored.short == ledger.amount:
            return stored
    rows = {row.leg: row.amount for row in exchange if row.leg is not Leg.BOTH}
    if not rows:
        return None
    flat = [leg for leg in (Leg.LONG, Leg.SHORT) if not rows.get(leg, ZERO)]
    if moving is not None:
        flat = [leg for leg in flat if leg is not moving]
    if len(flat) == 2:
        return None if ledger.amount else LedgerLegs(ZERO, ZERO)
    if flat == [Leg.SHORT] and ledger.amount >= 0:
        return LedgerLegs(ledger.amount, ZERO)
    if flat == [Leg.LONG] and ledger.amount <= 0:
        return LedgerLegs(ZERO, ledger.amount)
    return None


class UnreadableLedgerError(ValueError):
    """A field of the ledger is not a number; the message names it."""


@lru_cache(maxsize=8192)  # many decisions read one ledger, which changes only with a fill
def parse_ledger(stored: StoredLedger) -> Ledger | None:
    """Read a ledger as stored; None when it is missing.

    An empty or absent field counts as not given. `last_known_amt` must be given: without it the ledger is
    missing, and an empty one is unreadable. Raises UnreadableLedgerError for any field that is not a decimal
    number, also for one that the account's mode does not need: an operator's correction went wrong. Zero
    without legs is flat on both, as one-way mode and corrections by hand write it.
    """
    if stored.last_known_amt is None:
        return None
    try:
        amount = parse_decimal(stored.last_known_amt)
    except NotANumberError as error:
        raise UnreadableLedgerError(f"last_known_amt: {error}") from None
    long_amount = _number("long_amt", stored.long_amt)
    short_amount = _number("short_amt", stored.short_amt)
    if amount == 0 and long_amount is None and short_amount is None:
        long_amount = short_amount = ZERO
    return Ledger(
        amount, long_amount, short_amount, _number("last_order_time_epoch", stored.last_order_time_epoch)
    )


def ledger_or_problem(stored: StoredLedger) -> Ledger | str:
    """Read a ledger as stored; a text where it is missing or cannot be read."""
    try:
        return parse_ledger(stored) or "missing"
    except UnreadableLedgerError as error:
        return f"unreadable: {error}"


def _number(field: str, text: str | None) -> Decimal | None:
    if not text:
        return None
    try:
        return parse_decimal(text)
    except NotANumberError as error:
        raise UnreadableLedgerError(f"{field}: {error}") from None
