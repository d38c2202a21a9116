"""The shadow ledger: what our own executed orders add up to."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import msgspec

from brain.numbers import ZERO, NotANumberError, parse_decimal
from brain.positions.position import Leg, LegPosition


class StoredLedger(msgspec.Struct, frozen=True):
    """The fields of `quantum:position:ledger:<symbol>` that decisions rest on, as text, as stored.

    None: the field is missing. A hash without `last_known_amt` is a missing ledger. The text is kept
    because a commit compares it with what is stored then; operators correct it by hand.
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

    def amount_of(self, leg: Leg) -> Decimal | None:
        """The signed amount of one leg; None for a hedge-mode leg that the ledger does not tell."""
        if leg is Leg.LONG:
            return self.long_amount
        if leg is Leg.SHORT:
            return self.short_amount
        return self.amount


class LedgerLegs(NamedTuple):
    """The signed amounts of a hedge-mode ledger's legs (contracts)."""

    long: Decimal
    short: Decimal


#: What to do about a ledger that does not tell its legs: for people to read.
SET_THE_LEGS = "set last_known_amt, long_amt and short_amt in one HSET, or delete the hash to have it adopted"


def legs_of(
    ledger: Ledger, exchange: Iterable[LegPosition], *, moving: Leg | None = None
) -> LedgerLegs | None:
    """Return the legs of a hedge-mode ledger; None where nothing tells them.

    They are as stored if they add up to the amount. After a correction of the amount alone they follow from
    it where one leg of the exchange is flat. `moving` is the leg whose order is about to be booked: the
    exchange may show it before or after that order, so the other one must be the flat one.
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
    """A field of the ledger is there, and is no number; the message names it."""


@lru_cache(maxsize=8192)  # decisions on one symbol follow each other, and its ledger moves only with a fill
def parse_ledger(stored: StoredLedger) -> Ledger | None:
    """Read a ledger as stored; None when it is missing.

    An empty or absent field is not given, save `last_known_amt`, without which there is no ledger: there
    empty is unreadable. Raises UnreadableLedgerError for any field that is no decimal number, also for one
    that the account's mode does not need: somebody's correction went wrong, and nobody knows how far.
    Zero without legs is flat on both: that is how one-way mode writes it, and a correction by hand.
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


def _number(field: str, text: str | None) -> Decimal | None:
    if not text:
        return None
    try:
        return parse_decimal(text)
    except NotANumberError as error:
        raise UnreadableLedgerError(f"{field}: {error}") from None
