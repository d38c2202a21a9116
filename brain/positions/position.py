"""Positions as Binance shows them, and what is known of their freshness."""

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
    """Which way a signed amount points."""

    LONG = "LONG"
    SHORT = "SHORT"
    FLAT = "FLAT"


class VerifiedBy(StrEnum):
    """What the latest proof of a snapshot was."""

    REST = "rest"
    STREAM = "stream"
    ONDEMAND = "ondemand"


#: Named once: up to Python 3.11, a look into an enum takes as long as ten others.
_LONG, _SHORT, _FLAT = PositionSide.LONG, PositionSide.SHORT, PositionSide.FLAT


def side_of(amount: Decimal) -> PositionSide:
    """LONG above zero, SHORT below, else FLAT."""
    if not amount:
        return _FLAT
    return _SHORT if amount.is_signed() else _LONG


class LegPosition(msgspec.Struct, frozen=True):
    """One row of `positionRisk`, or one entry of `ACCOUNT_UPDATE`'s `P`.

    `amount` is signed (a SHORT leg is negative, as Binance sends it). `update_time_ms` is the exchange's
    clock: the transaction time `T` of the event, or the row's `updateTime`; 0 where the row has none, as flat
    rows may.
    `entry_price` is None where the exchange sent none that can be read; no decision rests on it.
    """

    leg: Leg
    amount: Decimal
    entry_price: Decimal | None
    update_time_ms: int


class Snapshot(msgspec.Struct, frozen=True):
    """A symbol's position, and the moment at which it is known to have been that.

    `legs` holds `BOTH` alone in one-way mode, `LONG` and `SHORT` in hedge mode. `verified_at` is the honest
    claim: the moment of sending for a REST read, of proof for the stream. `mark_ts_ms` is a time of the
    mark price's own, on this host's wall clock too. `leverage`, mark price and entry prices are decoration:
    None where they are not known, which keeps nothing from being decided.
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
        """Sum over the legs: what `position_amt` shows."""
        return sum((leg.amount for leg in self.legs), ZERO)

    @property
    def entry_price(self) -> Decimal | None:
        """The entry price of the leg that is not flat (the larger in hedge mode), else 0; None: unknown."""
        return max(self.legs, key=lambda leg: abs(leg.amount)).entry_price if self.legs else ZERO

    @property
    def unrealized_pnl(self) -> Decimal | None:
        """(mark - entry) x amount, summed over the legs; in quote currency. None where a price is unknown."""
        mark_price, profit = self.mark_price, ZERO
        for leg in self.legs:
            if leg.amount:
                if mark_price is None or leg.entry_price is None:
                    return None
                profit += (mark_price - leg.entry_price) * leg.amount
        return profit

    @property
    def hedged(self) -> bool:
        """Whether the account is in hedge mode."""
        return any(leg.leg is not Leg.BOTH for leg in self.legs)

    def amount_of(self, leg: Leg) -> Decimal:
        """The signed amount of one leg; 0 for a leg that the account's mode does not have."""
        return next((row.amount for row in self.legs if row.leg is leg), ZERO)
