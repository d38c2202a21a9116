"""The effect of executed orders on ledger, order memory and open permit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.identifiers import OrderId, PlanId
from brain.ledger.booking import Booking, NeedsAdoption, Waiting, adopt, book, next_version
from brain.ledger.ledger import StoredLedger
from brain.ledger.order_memory import OrderMemory, decode_memory
from brain.ledger.plan_mark import Joined
from brain.ledger.result import DeadResult, FilledOrder
from brain.numbers import ZERO
from brain.plans.permit import Kind, OpenPermit
from brain.positions.position import Leg, LegPosition

NOW = Decimal("1760000000.123")
PERMIT = OpenPermit(PlanId("plan-1"), Leg.BOTH, Kind.CLOSE, "SELL", Decimal("1.0"), 1_760_000_090_000)


def order(cumulative: str, *, final: bool = True, order_id: str = "17") -> FilledOrder:
    return FilledOrder(OrderId(order_id), None, Decimal(cumulative), "", final)


def outcome(
    executed: FilledOrder,
    stored: StoredLedger,
    *,
    leg: Leg = Leg.BOTH,
    side: str = "SELL",
    moves_ledger: bool = True,
    version: str | None = "4",
    memory: OrderMemory | None = None,
    permit: OpenPermit | None = None,
    exchange: tuple[LegPosition, ...] = (),
) -> Booking | NeedsAdoption | DeadResult | Waiting:
    return book(
        executed,
        Joined(leg, side, moves_ledger),
        symbol="BTCUSDT",
        stored=stored,
        stored_version=version,
        memory=memory,
        permit=permit,
        now_sec=NOW,
        exchange=exchange,
    )


def booked(executed: FilledOrder, stored: StoredLedger, **how: object) -> Booking:
    booking = outcome(executed, stored, **how)  # type: ignore[arg-type]
    assert isinstance(booking, Booking), booking
    return booking


def amount(text: str) -> StoredLedger:
    return StoredLedger(last_known_amt=text)


def test_a_fill_changes_the_whole_hash() -> None:
    assert booked(order("0.3"), amount("-0.1")).fields == {
        "last_known_amt": "-0.4",
        "last_known_side": "SHORT",
        "ledger_amt": "-0.4",
        "ledger_side": "SHORT",
        "last_order_id": "17",
        "last_order_time_epoch": "1760000000.123",
        "last_update_ts": "1760000000.123",
        "version": "5",
        "source": "apply_result",
    }


@pytest.mark.parametrize(
    ("stored", "side", "after", "points"),
    [
        ("0", "BUY", "0.3", "LONG"),
        ("0", "SELL", "-0.3", "SHORT"),
        ("0.3", "SELL", "0", "FLAT"),
        ("-0.3", "BUY", "0", "FLAT"),
        ("-1", "SELL", "-1.3", "SHORT"),
        ("0.1", "SELL", "-0.2", "SHORT"),
        ("0.10000000000000001", "BUY", "0.40000000000000001", "LONG"),
        ("1e-05", "BUY", "0.30001", "LONG"),
    ],
)
def test_buying_adds_and_selling_takes(stored: str, side: str, after: str, points: str) -> None:
    fields = booked(order("0.3"), amount(stored), side=side).fields
    assert fields is not None and (fields["last_known_amt"], fields["last_known_side"]) == (after, points)


def test_only_the_growth_of_an_order_counts() -> None:
    booking = booked(order("1.0"), amount("5"), memory=OrderMemory(Decimal("0.3"), 1))
    assert booking.growth == Decimal("-0.7")
    assert booking.ledger.last_known_amt == "4.3"
    assert booking.memory == "1|1760000000123"


@pytest.mark.parametrize("cumulative", ["1.0", "0.3", "0"])
def test_a_repeated_or_older_result_changes_no_amount(cumulative: str) -> None:
    stored = amount("5")
    booking = booked(order(cumulative), stored, memory=OrderMemory(Decimal(1), 1))
    assert booking == Booking(ZERO, stored, None, None, None)


def test_a_repetition_needs_no_readable_ledger() -> None:
    memory = OrderMemory(Decimal(1), 1)
    for stored in (StoredLedger(), amount("banana")):
        assert booked(order("1"), stored, memory=memory).ledger == stored


def test_an_open_permit_shrinks_by_what_was_filled() -> None:
    permit = booked(order("0.3", final=False), amount("5"), permit=PERMIT).permit
    assert permit is not None and permit.remaining == Decimal("0.7")


@pytest.mark.parametrize(
    ("cumulative", "final"), [("0.3", True), ("1.0", False), ("1.5", False), ("0", True)]
)
def test_an_open_permit_ends_when_its_order_does(cumulative: str, final: bool) -> None:
    assert booked(order(cumulative, final=final), amount("5"), permit=PERMIT).permit is None


def test_a_repetition_does_not_shrink_a_permit_twice_but_may_end_it() -> None:
    memory = OrderMemory(Decimal("0.3"), 1)
    assert booked(order("0.3", final=False), amount("5"), memory=memory, permit=PERMIT).permit == PERMIT
    assert booked(order("0.3"), amount("5"), memory=memory, permit=PERMIT).permit is None


def test_an_order_that_does_not_move_the_ledger_is_remembered_and_shrinks_its_permit() -> None:
    stored = amount("5")
    booking = booked(order("0.3", final=False), stored, moves_ledger=False, permit=PERMIT)
    assert (booking.ledger, booking.fields) == (stored, None)
    assert booking.memory == "0.3|1760000000123|close"
    assert decode_memory(booking.memory) == OrderMemory(Decimal("0.3"), 1760000000123, closes=True)
    assert booking.permit is not None and booking.permit.remaining == Decimal("0.7")


def test_an_operators_correction_is_where_the_next_booking_starts() -> None:
    corrected = StoredLedger("2", "16", "1759999999", None, None)
    fields = booked(order("0.5"), corrected, version=None).fields
    assert fields is not None
    assert (fields["last_known_amt"], fields["ledger_amt"], fields["version"]) == ("1.5", "1.5", "1")


def test_a_missing_ledger_must_be_adopted_first() -> None:
    assert outcome(order("0.3"), StoredLedger(long_amt="1")) == NeedsAdoption()
    assert isinstance(outcome(order("0.3"), StoredLedger(), moves_ledger=False), Booking)


@pytest.mark.parametrize("text", ["", "banana", "NaN", "Infinity", "1e99", "-999999999999999.9"])
def test_an_amount_that_cannot_be_added_to_stops_the_booking(text: str) -> None:
    assert isinstance(outcome(order("0.3"), amount(text)), DeadResult)


def test_fields_that_are_overwritten_may_hold_anything() -> None:
    stored = StoredLedger("1", "\x00", "yesterday", "left over", "left over")
    fields = booked(order("0.3"), stored, version="x").fields
    assert fields is not None and fields["last_known_amt"] == "0.7" and fields["version"] == "1"
    assert "long_amt" not in fields and "short_amt" not in fields


@pytest.mark.parametrize(
    ("leg", "side", "after"),
    [
        (Leg.LONG, "BUY", ("1.3", "2.3", "-1")),
        (Leg.LONG, "SELL", ("0.7", "1.7", "-1")),
        (Leg.SHORT, "SELL", ("0.7", "2", "-1.3")),
        (Leg.SHORT, "BUY", ("1.3", "2", "-0.7")),
    ],
)
def test_hedge_mode_moves_one_leg_and_the_sum(leg: Leg, side: str, after: tuple[str, str, str]) -> None:
    fields = booked(order("0.3"), StoredLedger("1", None, None, "2", "-1"), leg=leg, side=side).fields
    assert fields is not None
    assert (fields["last_known_amt"], fields["long_amt"], fields["short_amt"]) == after


def test_a_flat_one_way_ledger_is_flat_on_both_legs() -> None:
    assert booked(order("0.3"), amount("0"), leg=Leg.SHORT).ledger == StoredLedger(
        "-0.3", "17", "1760000000.123", "0", "-0.3"
    )


def test_a_corrected_sum_survives_hedge_bookings() -> None:
    ledger = booked(order("0.3"), StoredLedger("1.5", None, None, "2", "-1"), leg=Leg.LONG).ledger
    assert (ledger.last_known_amt, ledger.long_amt, ledger.short_amt) == ("1.2", "1.7", "-1")


@pytest.mark.parametrize(
    ("long_amt", "short_amt", "becomes"),
    [
        (None, None, Waiting),
        ("1", None, Waiting),
        (None, "0", Waiting),
        ("1", "x", DeadResult),
    ],
)
def test_legs_are_not_guessed_from_their_sum(
    long_amt: str | None, short_amt: str | None, becomes: type
) -> None:
    stored = StoredLedger("1", None, None, long_amt, short_amt)
    for exchange in ((), hedged("1", "-1"), hedged("0", "-1")):
        assert isinstance(outcome(order("0.3"), stored, leg=Leg.LONG, exchange=exchange), becomes)


@pytest.mark.parametrize("legs", [(None, None), ("4", "0"), ("", "-1")])
@pytest.mark.parametrize("long", ["3", "0"], ids=["before the fill shows", "closed by the fill"])
def test_a_corrected_sum_gives_the_legs_where_the_other_leg_is_flat(
    legs: tuple[str | None, str | None], long: str
) -> None:
    stored = StoredLedger("3", None, None, *legs)
    ledger = booked(order("0.5"), stored, leg=Leg.LONG, exchange=hedged(long, "0")).ledger
    assert (ledger.last_known_amt, ledger.long_amt, ledger.short_amt) == ("2.5", "2.5", "0")


def test_a_sum_on_the_wrong_side_gives_no_legs() -> None:
    stored = StoredLedger("-3")
    executed = outcome(order("0.5"), stored, leg=Leg.LONG, exchange=hedged("3", "0"))
    assert isinstance(executed, Waiting)
    short = booked(order("0.5"), stored, leg=Leg.SHORT, side="BUY", exchange=hedged("0", "-3")).ledger
    assert (short.last_known_amt, short.long_amt, short.short_amt) == ("-2.5", "0", "-2.5")


def hedged(long: str, short: str) -> tuple[LegPosition, ...]:
    return row(Leg.LONG, long), row(Leg.SHORT, short)


def row(leg: Leg, text: str) -> LegPosition:
    return LegPosition(leg, Decimal(text), Decimal(100), 0)


def test_adoption_takes_the_exchanges_amounts_and_no_order() -> None:
    assert adopt((row(Leg.BOTH, "-0.50"),), now_sec=NOW) == {
        "last_known_amt": "-0.5",
        "last_known_side": "SHORT",
        "ledger_amt": "-0.5",
        "ledger_side": "SHORT",
        "last_update_ts": "1760000000.123",
        "version": "1",
        "source": "adopted",
    }


def test_adoption_of_a_flat_symbol_is_a_ledger_of_zero() -> None:
    fields = adopt((row(Leg.BOTH, "0.000"),), now_sec=NOW)
    assert (fields["last_known_amt"], fields["last_known_side"]) == ("0", "FLAT")


def test_adoption_in_hedge_mode_takes_each_leg() -> None:
    fields = adopt((row(Leg.LONG, "2"), row(Leg.SHORT, "-0.5")), now_sec=NOW)
    assert (fields["last_known_amt"], fields["long_amt"], fields["short_amt"]) == ("1.5", "2", "-0.5")


@pytest.mark.parametrize(("stored", "following"), [("4", 5), (None, 1), ("x", 1), ("-3", 1), ("9" * 40, 1)])
def test_versions_grow(stored: str | None, following: int) -> None:
    assert next_version(stored) == following
