"""Positions as Binance shows them, and snapshots of them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.moment import Moment
from brain.numbers import ZERO


class Leg(StrEnum):
    """Binance's `positionSide`: `BOTH` in one-way mode, `LONG` and `SHORT` in hedge mode."""

    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


class PositionSide(StrEnum):
    """Side of a signed amount."""

    LONG = "LONG"
    SHORT = "SHORT"
    FLAT = "FLAT"


class VerifiedBy(StrEnum):
    """Kind of a snapshot's latest proof."""

    REST = "rest"
    STREAM = "stream"
    ONDEMAND = "ondemand"


#: Aliases: up to Python 3.11, access to an enum's member takes ten times as long.
_LONG, _SHORT, _FLAT = PositionSide.LONG, PositionSide.SHORT, PositionSide.FLAT


def side_of(amount: Decimal) -> PositionSide:
    """Return LONG above zero, SHORT below, else FLAT."""
    if not amount:
        return _FLAT
    return _SHORT if amount.is_signed() else _LONG


class LegPosition(msgspec.Struct, frozen=True, gc=False):
    """One row of `positionRisk`, or one entry of `ACCOUNT_UPDATE`'s `P`.

    `amount` is signed (a SHORT leg is negative, as Binance sends it). `update_time_ms` is the exchange's
    clock: the transaction time `T` of the event, or the row's `updateTime`; 0 where the row has none, as flat
    rows may. `dated_ahead_ms` is the date of a read's row that is ahead of that clock, else 0: rule 10 of
    `brain.positions.merging` orders such a row by another date.
    `entry_price` is None where the exchange sent none that can be read; no decision rests on it.
    """

    leg: Leg
    amount: Decimal
    entry_price: Decimal | None
    update_time_ms: int
    dated_ahead_ms: int = 0

    def same_as(self, other: LegPosition) -> bool:
        """Return True for a row of the same date and amount."""
        return self.update_time_ms == other.update_time_ms and self.amount == other.amount

    def priced_by(self, other: LegPosition) -> LegPosition:
        """Return it, with the other row's entry price where it had none."""
        if self.entry_price is not None or other.entry_price is None:
            return self
        return msgspec.structs.replace(self, entry_price=other.entry_price)


def profit(legs: tuple[LegPosition, ...], mark_price: Decimal | None) -> Decimal | None:
    """Return (mark - entry) x amount over the legs, in quote currency; None if a price is unknown."""
    total = ZERO
    for leg in legs:
        if leg.amount:
            if mark_price is None or leg.entry_price is None:
                return None
            total += (mark_price - leg.entry_price) * leg.amount
    return total


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A symbol's position, and a moment at which it was true.

    `legs` holds `BOTH` alone in one-way mode, `LONG` and `SHORT` in hedge mode. `verified_at` is the sending
    of a REST read, or the moment of the stream's proof. `mark_ts_ms` is the mark price's own time, on this
    host's wall clock. No decision needs `leverage`, mark price and entry prices: None while unknown.
    """

    symbol: str
    legs: tuple[LegPosition, ...]
    leverage: Decimal | None
    mark_price: Decimal | None
    mark_ts_ms: int
    verified_at: Moment
    verified_by: VerifiedBy

    @property
    def amount(self) -> Decimal:
        """Return the sum over the legs, as `position_amt` shows it."""
        total = ZERO
        for leg in self.legs:
            total += leg.amount
        return total

    @property
    def entry_price(self) -> Decimal | None:
        """Return the open leg's entry price (the larger leg's in hedge mode), else 0; None: unknown."""
        return max(self.legs, key=lambda leg: abs(leg.amount)).entry_price if self.legs else ZERO

    @property
    def unrealized_pnl(self) -> Decimal | None:
        """Return (mark - entry) x amount over the legs, in quote currency; None if a price is unknown."""
        return profit(self.legs, self.mark_price)

    @property
    def hedged(self) -> bool:
        """Return True if the account is in hedge mode."""
        return any(leg.leg is not Leg.BOTH for leg in self.legs)

    def amount_of(self, leg: Leg) -> Decimal:
        """Return the signed amount of one leg; 0 for a leg that the account's mode does not have."""
        return next((row.amount for row in self.legs if row.leg is leg), ZERO)
