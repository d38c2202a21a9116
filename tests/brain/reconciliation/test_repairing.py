"""A repair is a booking: same arithmetic, same memory, so that a late result adds nothing."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from brain.identifiers import OrderId
from brain.ledger.booking import Booking, book
from brain.ledger.order_memory import OrderMemory, decode_memory
from brain.ledger.plan_mark import Joined
from brain.ledger.result import FilledOrder
from brain.positions.position import Leg
from brain.reconciliation.repairing import Repaired, repair
from brain.reconciliation.rules import DriftCause
from tests.brain.cases import NOW_MS
from tests.brain.reconciliation.cases import comparison, drift, drift_of, growth, hedged, one_way, stored


def repaired(found: Repaired | str) -> Repaired:
    assert isinstance(found, Repaired), found
    return found


OWN_UNBOOKED = DriftCause.OWN_UNBOOKED


def test_a_repair_writes_the_ledger_as_a_booking_does() -> None:
    partly = growth(OWN_UNBOOKED, "BUY", "0.7", cumulative=Decimal(1))
    found = repaired(repair(drift("1", "0.3"), stored("0.3"), [partly], now_ms=NOW_MS))
    assert found.fields == {
        "last_known_amt": "1",
        "last_known_side": "LONG",
        "ledger_amt": "1",
        "ledger_side": "LONG",
        "last_update_ts": "1760000000",
        "version": "8",
        "source": "reconciled",
        "last_order_id": "1",
        "last_order_time_epoch": "1760000000",
    }
    assert found.memories == {OrderId("1"): f"1|{NOW_MS}"}
    assert comparison(one_way("1"), found.ledger).agrees
    assert found.version == "8"


def test_a_repair_books_on_the_ledger_without_what_a_sum_of_floats_has_missed() -> None:
    ledger, legs = stored("0.30000000000000004"), one_way("0.4")
    found = repaired(
        repair(drift_of(legs, ledger), ledger, [growth(OWN_UNBOOKED, "BUY", "0.1")], now_ms=NOW_MS)
    )
    assert found.ledger.last_known_amt == "0.4"


@pytest.mark.parametrize(("reported", "ledger"), [("0.4", "1"), ("1", "1"), ("1.5", "1.5")])
def test_a_late_result_adds_only_what_is_beyond_the_repair(reported: str, ledger: str) -> None:
    found = repaired(repair(drift("1", "0"), stored("0"), [growth(OWN_UNBOOKED, "BUY", "1")], now_ms=NOW_MS))
    booking = book(
        FilledOrder(OrderId("1"), "BUY", Decimal(reported), "FILLED", final=True),
        Joined(Leg.BOTH, "BUY", moves_ledger=True),
        symbol="BTCUSDT",
        stored=found.ledger,
        stored_version=found.version,
        memory=decode_memory(found.memories[OrderId("1")]),
        permit=None,
        now_sec=Decimal(NOW_MS) / 1000,
    )
    assert isinstance(booking, Booking)
    assert booking.ledger.last_known_amt == ledger


def test_a_part_that_waits_for_a_person_stays_a_drift() -> None:
    found = repaired(
        repair(drift("1.5", "0"), stored("0"), [growth(OWN_UNBOOKED, "BUY", "2")], now_ms=NOW_MS)
    )
    left = comparison(one_way("1.5"), found.ledger).drift
    assert left is not None
    assert left.drifted[0].difference == Decimal("-0.5")


def test_fills_are_booked_in_the_order_of_their_times() -> None:
    early = growth(OWN_UNBOOKED, "BUY", "1", order_id=OrderId("9"), time_ms=1)
    late = growth(DriftCause.LIQUIDATION, "SELL", "0.4", order_id=OrderId("3"), time_ms=2)
    found = repaired(repair(drift("0.6", "0"), stored("0"), [late, early], now_ms=NOW_MS))
    assert (found.ledger.last_known_amt, found.ledger.last_order_id) == ("0.6", "3")
    assert {name: decode_memory(text) for name, text in found.memories.items()} == {
        "9": OrderMemory(Decimal(1), NOW_MS),
        "3": OrderMemory(Decimal("0.4"), NOW_MS),
    }


def test_only_its_leg_is_moved() -> None:
    legs, ledger = hedged("1", "-3"), stored("0", "1", "-1")
    short = growth(OWN_UNBOOKED, "SELL", "2", leg=Leg.SHORT)
    found = repaired(repair(drift_of(legs, ledger), ledger, [short], now_ms=NOW_MS))
    assert (found.ledger.last_known_amt, found.ledger.long_amt, found.ledger.short_amt) == ("-2", "1", "-3")


def test_legs_that_follow_from_a_correction_of_the_sum_are_moved() -> None:
    """The sum was corrected from 1 to 2 while SHORT was flat; the stored legs are still the old ones."""
    legs, ledger = hedged("0.5", "0"), stored("2", "1", "0")
    closed = growth(OWN_UNBOOKED, "SELL", "1.5", leg=Leg.LONG)
    found = repaired(repair(drift_of(legs, ledger), ledger, [closed], now_ms=NOW_MS))
    assert comparison(legs, found.ledger).agrees
    assert (found.ledger.long_amt, found.ledger.short_amt) == ("0.5", "0")


def test_a_ledger_without_a_readable_version_begins_at_1() -> None:
    unversioned = msgspec.structs.replace(drift("1", "0"), version="x")
    found = repaired(repair(unversioned, stored("0"), [growth(OWN_UNBOOKED, "BUY", "1")], now_ms=NOW_MS))
    assert found.version == "1"


@pytest.mark.parametrize("ledger", ["", "none", "1e400"])
def test_an_unreadable_ledger_is_not_moved(ledger: str) -> None:
    found = repair(drift("1", "0"), stored(ledger), [growth(OWN_UNBOOKED, "BUY", "1")], now_ms=NOW_MS)
    assert isinstance(found, str)
    assert found.startswith("the ledger cannot be moved")


def test_a_sum_too_large_for_a_ledger_is_not_written() -> None:
    huge = growth(OWN_UNBOOKED, "BUY", "999999999999999")
    assert isinstance(repair(drift("2", "1"), stored("1"), [huge], now_ms=NOW_MS), str)
