"""Evidence that a snapshot contains a reported fill."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import OrderId
from brain.ledger.reported_fills import ReportedFill, may_precede_takeover, snapshot_contains
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy


def at(ms: int) -> Moment:
    return Moment(ms / 1000, 1_760_000_000_000 + ms)


def snapshot(verified_ms: int, **updated_ms: int) -> Snapshot:
    legs = tuple(LegPosition(Leg(leg), Decimal(1), None, ms) for leg, ms in updated_ms.items())
    return Snapshot("BTCUSDT", legs, None, None, 0, at(verified_ms), VerifiedBy.STREAM)


def fill(arrived_ms: int, filled_ms: int | None = None, leg: Leg = Leg.BOTH) -> ReportedFill:
    return ReportedFill(
        OrderId("1"), Decimal(1), at(arrived_ms), None if filled_ms is None else leg, filled_ms
    )


@pytest.mark.parametrize(
    ("shown", "reported", "contained"),
    [
        (snapshot(100, BOTH=0), fill(100), True),
        (snapshot(99, BOTH=0), fill(100), False),
        (snapshot(90, BOTH=90), fill(100, 90), True),
        (snapshot(90, BOTH=89), fill(100, 90), False),
        (snapshot(90, LONG=90, SHORT=0), fill(100, 90, Leg.LONG), True),
        (snapshot(90, LONG=0, SHORT=90), fill(100, 90, Leg.LONG), False),
        (snapshot(90, LONG=90, SHORT=90), fill(100, 90, Leg.BOTH), False),
        (snapshot(90), fill(100, 90), False),
    ],
)
def test_a_snapshot_contains_a_fill_by_its_own_time_or_by_the_exchanges(
    shown: Snapshot, reported: ReportedFill, contained: bool
) -> None:
    assert snapshot_contains(shown, reported) is contained


MS = st.integers(min_value=0, max_value=1_000)


@given(filled=MS, delay=MS, verified=MS, updated=MS, dated=st.booleans())
def test_a_snapshot_from_before_the_fill_never_contains_it(
    filled: int, delay: int, verified: int, updated: int, dated: bool
) -> None:
    """Both clocks agree here; a result arrives no earlier than its fill."""
    reported = fill(filled + delay, filled if dated else None)
    shown = snapshot(verified, BOTH=min(updated, verified))
    if snapshot_contains(shown, reported):
        assert verified >= filled


@given(verified=MS, later=MS, arrived=MS, filled=st.none() | MS)
def test_a_later_proof_never_takes_a_fill_out_of_a_snapshot(
    verified: int, later: int, arrived: int, filled: int | None
) -> None:
    reported = fill(arrived, filled)
    before = snapshot_contains(snapshot(verified, BOTH=500), reported)
    after = snapshot_contains(snapshot(verified + later, BOTH=500), reported)
    assert after or not before


@pytest.mark.parametrize(
    ("booked", "may"),
    [(None, False), ("1760000000", True), ("1760000059.9", True), ("1759999900", False), ("soon", True)],
)
def test_only_an_order_booked_within_a_minute_may_precede_a_takeover(booked: str | None, may: bool) -> None:
    assert may_precede_takeover(booked, 1_760_000_000_000) is may
