"""The shadow ledger: what our own executed orders add up to."""

from __future__ import annotations

from decimal import Decimal

import msgspec

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
