"""The shadow ledger: what our own executed orders add up to."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec

from brain.numbers import ZERO, NotANumberError, parse_decimal
from brain.position import Leg


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
