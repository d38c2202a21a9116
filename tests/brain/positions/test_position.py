"""Positions and snapshots."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, PositionSide, Snapshot, VerifiedBy, side_of


def snapshot(*legs: LegPosition) -> Snapshot:
    return Snapshot(
        "BTCUSDT", legs, Decimal(10), Decimal(110), 1_760_000_000_000, Moment(0, 0), VerifiedBy.REST
    )


LONG = LegPosition(Leg.LONG, Decimal("0.5"), Decimal(100), 1)
SHORT = LegPosition(Leg.SHORT, Decimal("-0.2"), Decimal(120), 1)


@pytest.mark.parametrize(
    ("amount", "side"),
    [("0.001", PositionSide.LONG), ("-0.001", PositionSide.SHORT), ("0.000", PositionSide.FLAT)],
)
def test_the_sign_tells_the_side(amount: str, side: PositionSide) -> None:
    assert side_of(Decimal(amount)) is side


def test_a_one_way_snapshot() -> None:
    one_way = snapshot(LegPosition(Leg.BOTH, Decimal("-0.038"), Decimal(100), 1))
    assert not one_way.hedged
    assert one_way.amount == one_way.amount_of(Leg.BOTH) == Decimal("-0.038")
    assert one_way.amount_of(Leg.LONG) == 0
    assert one_way.unrealized_pnl == Decimal("-0.380")


def test_a_hedge_mode_snapshot_shows_the_sum_and_each_leg() -> None:
    hedged = snapshot(LONG, SHORT)
    assert hedged.hedged
    assert hedged.amount == Decimal("0.3")
    assert (hedged.amount_of(Leg.LONG), hedged.amount_of(Leg.SHORT)) == (Decimal("0.5"), Decimal("-0.2"))
    assert hedged.entry_price == 100
    assert hedged.unrealized_pnl == Decimal("7.0")


def test_a_snapshot_without_legs_is_flat() -> None:
    flat = snapshot()
    assert flat.amount == flat.entry_price == flat.unrealized_pnl == 0
    assert not flat.hedged
