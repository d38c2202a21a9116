"""Rows of the table of causes, and what keeps evidence from proving anything."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.identifiers import OrderId
from brain.positions.position import Leg
from brain.reconciliation.evidence import Evidence, Explained, Gap, Trade, Unexplained
from brain.reconciliation.rules import OWN_CAUSES, DriftCause
from brain.reconciliation.weighing import cause_of_finding, causes_of, weigh
from tests.brain.reconciliation.cases import (
    ADOPTED,
    OWN,
    SINCE_MS,
    TRADED_MS,
    VERIFIED_MS,
    drift,
    drift_of,
    evidence,
    hedged,
    order,
    stored,
    trades_of,
)

PERSON = "web_AbCdEf"


def explained(finding: Explained | Unexplained) -> Explained:
    assert isinstance(finding, Explained), finding
    return finding


def unexplained(finding: Explained | Unexplained) -> Unexplained:
    assert isinstance(finding, Unexplained), finding
    return finding


@pytest.mark.parametrize(
    ("client_order_id", "changes", "memories", "cause"),
    [
        (OWN, {}, {}, DriftCause.OWN_UNBOOKED),
        ("p33-ffffffffffffffffffffffffffffffff", {}, {}, DriftCause.OWN_ORPHAN),
        ("x-harvest-1", {}, {"1": "0.4"}, DriftCause.OWN_UNBOOKED),
        # A dead result has named it, and nothing was booked of it.
        ("x-harvest-1", {}, {"1": "0"}, DriftCause.OWN_UNBOOKED),
        ("autoclose-1690000000000", {}, {}, DriftCause.LIQUIDATION),
        ("adl_autoclose", {}, {}, DriftCause.ADL),
        ("settlement_autoclose-1690000000000", {}, {}, DriftCause.SETTLEMENT),
        # An order of the exchange's own, of which a part was booked before, keeps its cause.
        ("autoclose-1690000000000", {}, {"1": "0.4"}, DriftCause.LIQUIDATION),
        ("x-stop", {"conditional": True}, {}, DriftCause.STOP),
        ("autoclose-1690000000000", {"conditional": True}, {}, DriftCause.LIQUIDATION),
        (PERSON, {}, {}, DriftCause.MANUAL),
        ("ios_x", {}, {}, DriftCause.MANUAL),
        ("android_x", {}, {}, DriftCause.MANUAL),
        ("another-robot", {}, {}, DriftCause.MANUAL),
        ("", {}, {}, DriftCause.MANUAL),
    ],
)
def test_an_order_has_one_cause(
    client_order_id: str, changes: dict[str, Any], memories: dict[str, str], cause: DriftCause
) -> None:
    filled = order("1", "BUY", "1", client_order_id, **changes)
    booked = Decimal(memories.get("1", "0"))
    found = explained(weigh(drift("1", str(booked)), evidence(filled, memories=memories), ADOPTED))
    (growth,) = (*found.adopted, *found.foreign)
    assert growth.cause is cause
    assert (growth.quantity, growth.cumulative) == (1 - booked, Decimal(1))
    assert bool(found.adopted) is (cause in ADOPTED | OWN_CAUSES)
    assert cause_of_finding(found) is cause


def test_listed_causes_are_adopted() -> None:
    looked = evidence(order("1", "SELL", "1", PERSON))
    assert explained(weigh(drift("0", "1"), looked, frozenset())).foreign
    assert explained(weigh(drift("0", "1"), looked, frozenset({DriftCause.MANUAL}))).adopted


def test_two_causes_at_once_are_told_apart() -> None:
    own, outside = order("1", "BUY", "2"), order("2", "SELL", "0.5", PERSON)
    found = explained(weigh(drift("1.5", "0"), evidence(own, outside), ADOPTED))
    assert {each.order_id: each.signed for each in found.adopted} == {OrderId("1"): Decimal(2)}
    assert {each.order_id: each.signed for each in found.foreign} == {OrderId("2"): Decimal("-0.5")}
    assert causes_of((*found.foreign, *found.adopted)) == (DriftCause.OWN_UNBOOKED, DriftCause.MANUAL)
    assert cause_of_finding(found) is DriftCause.MANUAL


@pytest.mark.parametrize(("exchange", "ledger"), [("1", "0.1"), ("-1", "0"), ("0.999", "0"), ("1.001", "0")])
def test_nothing_is_explained_unless_the_sum_comes_out(exchange: str, ledger: str) -> None:
    found = unexplained(weigh(drift(exchange, ledger), evidence(order("1", "BUY", "1")), ADOPTED))
    assert found.gap is None
    assert [each.order_id for each in found.growths] == ["1"]
    assert cause_of_finding(found) is DriftCause.NONE


def test_no_trades_explain_no_drift() -> None:
    found = unexplained(weigh(drift("1", "0"), evidence(), ADOPTED))
    assert (found.gap, found.growths) == (None, ())
    assert found.why == "no trade since the last agreement explains exchange 1 and ledger 0"


def test_a_sum_that_comes_out_by_chance_explains_nothing() -> None:
    """A person has set the ledger back to the agreed 0, with 1 booked; a sell of 1 is not shown yet."""
    booked, own = order("1", "BUY", "1"), order("2", "BUY", "2")
    looked = evidence(booked, own, memories={"1": "1"})
    assert explained(weigh(drift("2", "0"), looked, ADOPTED)).adopted
    agreed = msgspec.structs.replace(looked, agreed={Leg.BOTH: Decimal(0)})
    found = unexplained(weigh(drift("2", "0"), agreed, ADOPTED))
    assert (found.gap, [each.order_id for each in found.growths]) == (None, ["2"])
    assert found.why == "0 and all trades since make 3, the exchange has 2"
    whole = msgspec.structs.replace(agreed, agreed={Leg.BOTH: Decimal(-1)})
    assert explained(weigh(drift("2", "0"), whole, ADOPTED)).adopted


def test_agreed_amount_and_trades_have_to_make_each_drifted_leg() -> None:
    legs = drift_of(hedged("1", "-1"), stored("-1", "0", "-1"))
    looked = evidence(order("1", "BUY", "1", leg=Leg.LONG), order("2", "SELL", "5", leg=Leg.SHORT))
    for long, comes_out in (("0", True), ("-0.001", False)):
        agreed = {Leg.LONG: Decimal(long), Leg.SHORT: Decimal(0)}
        found = weigh(legs, msgspec.structs.replace(looked, agreed=agreed), ADOPTED)
        assert isinstance(found, Explained) is comes_out
    assert unexplained(found).why.endswith(" on LONG")


def test_a_trade_of_the_agreements_millisecond_is_in_its_amount_or_since() -> None:
    looked = evidence(order("1", "BUY", "1", placed_ms=SINCE_MS), trades=(trade(1, SINCE_MS, "1"),))
    for agreed, ledger in (("0", "0"), ("1", "0")):
        found = weigh(
            drift("1", ledger),
            msgspec.structs.replace(looked, agreed={Leg.BOTH: Decimal(agreed)}),
            ADOPTED,
        )
        assert isinstance(found, Explained) is (agreed == "0")


def test_a_sell_does_not_explain_what_a_buy_would() -> None:
    assert isinstance(weigh(drift("1", "0"), evidence(order("1", "SELL", "1")), ADOPTED), Unexplained)
    assert isinstance(weigh(drift("-1", "0"), evidence(order("1", "SELL", "1")), ADOPTED), Explained)


def test_trades_of_another_leg_explain_nothing() -> None:
    legs = drift_of(hedged("1", "-1"), stored("-1", "0", "-1"))
    filled = order("1", "BUY", "1", leg=Leg.LONG)
    assert explained(weigh(legs, evidence(filled), ADOPTED)).adopted[0].leg is Leg.LONG
    short = order("1", "BUY", "1", leg=Leg.SHORT)
    assert unexplained(weigh(legs, evidence(short), ADOPTED)).growths == ()


def test_trades_on_a_leg_that_agrees_do_not_matter() -> None:
    legs = drift_of(hedged("1", "-1"), stored("-1", "0", "-1"))
    own, booked = order("1", "BUY", "1", leg=Leg.LONG), order("2", "SELL", "1", leg=Leg.SHORT)
    looked = evidence(own, booked)
    unknown = msgspec.structs.replace(looked, orders={own.order_id: own})
    assert explained(weigh(legs, unknown, ADOPTED)).foreign == ()


def test_each_drifted_leg_has_to_come_out() -> None:
    legs = drift_of(hedged("1", "-2"), stored("0", "0", "0"))
    long, short = order("1", "BUY", "1", leg=Leg.LONG), order("2", "SELL", "2", leg=Leg.SHORT)
    assert len(explained(weigh(legs, evidence(long, short), ADOPTED)).adopted) == 2
    assert unexplained(weigh(legs, evidence(long), ADOPTED)).why.endswith("on SHORT")


def test_a_booked_part_does_not_count_again() -> None:
    partly = evidence(order("1", "BUY", "1"), memories={"1": "0.3"})
    assert explained(weigh(drift("1", "0.3"), partly, ADOPTED)).adopted[0].quantity == Decimal("0.7")
    whole = evidence(order("1", "BUY", "1"), order("2", "BUY", "2"), memories={"1": "1"})
    assert [each.order_id for each in explained(weigh(drift("3", "1"), whole, ADOPTED)).adopted] == ["2"]
    # The memory may be ahead of the exchange's lists.
    ahead = evidence(order("1", "BUY", "1"), order("2", "BUY", "2"), memories={"1": "5"})
    assert [each.order_id for each in explained(weigh(drift("7", "5"), ahead, ADOPTED)).adopted] == ["2"]


def test_an_order_from_before_the_agreement_counts_with_its_later_trades() -> None:
    filled = order("1", "BUY", "5", placed_ms=SINCE_MS - 1)
    trades = (trade(1, 999, "2"), trade(2, 1000, "1"), trade(3, 1001, "2"))
    looked = evidence(filled, trades=trades)
    found = explained(weigh(drift("5", "3"), looked, ADOPTED)).adopted[0]
    # All of it is in the ledger afterwards: its late result, of 5, has to add nothing.
    assert (found.quantity, found.cumulative, found.trade_ids) == (Decimal(2), Decimal(5), (3,))


def test_fills_that_the_ledger_had_before_the_agreement_are_not_booked_again() -> None:
    """An operator's correction contained 3 of the order, of which only 1 has been booked by a result."""
    filled = order("1", "BUY", "5", placed_ms=SINCE_MS)
    looked = evidence(filled, memories={"1": "1"}, trades=(trade(1, 1001, "2"),))
    assert explained(weigh(drift("5", "3"), looked, ADOPTED)).adopted[0].quantity == 2


def trade(trade_id: int, time_ms: int, quantity: str) -> Trade:
    return Trade(trade_id, OrderId("1"), "BUY", Leg.BOTH, Decimal(quantity), time_ms)


def test_a_trade_read_twice_counts_once() -> None:
    looked = evidence(order("1", "BUY", "1"))
    twice = msgspec.structs.replace(looked, trades=looked.trades * 2)
    assert explained(weigh(drift("1", "0"), twice, ADOPTED)).adopted[0].quantity == 1


def test_a_reconcile_close_moves_the_exchange_and_no_ledger() -> None:
    outside, closing = order("1", "BUY", "2", PERSON), order("2", "SELL", "1")
    # Its result is remembered, too, and has moved nothing.
    for memories in ({}, {"2": "1"}):
        looked = evidence(outside, closing, memories=memories, closing=frozenset({OWN}))
        found = explained(weigh(drift("1", "0"), looked, ADOPTED | {DriftCause.RECONCILE_CLOSE}))
        assert found.adopted == ()
        assert causes_of(found.foreign) == (DriftCause.MANUAL, DriftCause.RECONCILE_CLOSE)


@pytest.mark.parametrize("client_order_id", ["p33-ffffffffffffffffffffffffffffffff", "apply_7"])
def test_a_close_without_a_record_is_one_by_its_result(client_order_id: str) -> None:
    """The executor's record is lost, or the executor was another; its result was booked, or is dead."""
    outside, closing = order("1", "BUY", "2", PERSON), order("2", "SELL", "1", client_order_id)
    for stored_memory in ("1|1|close", "0|1|close"):
        looked = msgspec.structs.replace(evidence(outside, closing), memories={OrderId("2"): stored_memory})
        found = explained(weigh(drift("1", "0"), looked, ADOPTED))
        assert found.adopted == ()
        assert causes_of(found.foreign) == (DriftCause.MANUAL, DriftCause.RECONCILE_CLOSE)


FILLED = order("1", "BUY", "1")


@pytest.mark.parametrize(
    ("looked", "gap"),
    [
        (evidence(FILLED, complete=False), Gap.PAGES),
        (evidence(FILLED, orders={}), Gap.ORDER_NOT_SHOWN),
        (evidence(FILLED, orders={OrderId("1"): order("1", "BUY", "0.5")}), Gap.ORDER_BEHIND),
        (evidence(FILLED, orders={OrderId("1"): order("1", "SELL", "1")}), Gap.CONTRADICTION),
        (evidence(FILLED, orders={OrderId("1"): order("1", "BUY", "1", leg=Leg.LONG)}), Gap.CONTRADICTION),
        (evidence(FILLED, verified_ms=TRADED_MS - 1), Gap.POSITION_BEHIND),
        (evidence(FILLED, memories={"1": "NaN"}), Gap.MEMORY_UNREADABLE),
    ],
)
def test_a_gap_proves_nothing(looked: Evidence, gap: Gap) -> None:
    found = unexplained(weigh(drift("1", "0"), looked, ADOPTED))
    assert found.gap is gap
    assert found.why
    assert len(found.growths) == (gap is not Gap.PAGES)


def test_a_position_verified_at_the_trade_contains_it() -> None:
    assert explained(weigh(drift("1", "0"), evidence(FILLED, verified_ms=TRADED_MS), ADOPTED)).adopted


def test_an_order_that_is_not_shown_is_named_by_its_trades() -> None:
    (growth,) = unexplained(weigh(drift("1", "0"), evidence(FILLED, orders={}), ADOPTED)).growths
    assert (growth.order_id, growth.client_order_id) == ("1", "")
    assert (growth.cause, growth.quantity) == (DriftCause.NONE, Decimal(1))


def test_a_fill_that_only_the_order_shows_is_not_remembered_as_booked() -> None:
    """The position does not have the second fill, of 2, yet: it is later than the trade of 1."""
    first = (trade(1, TRADED_MS, "1"),)
    for placed_ms, updated_ms, gap in (
        (SINCE_MS + 1, TRADED_MS, Gap.TRADES_BEHIND),
        (SINCE_MS, VERIFIED_MS, Gap.POSITION_BEHIND),
        (SINCE_MS, VERIFIED_MS - 1, None),
    ):
        looked = evidence(order("1", "BUY", "3", placed_ms=placed_ms, updated_ms=updated_ms), trades=first)
        found = weigh(drift("1", "0"), looked, ADOPTED)
        assert (found.gap if isinstance(found, Unexplained) else None) is gap


def test_an_older_order_has_to_be_as_new_as_its_trades() -> None:
    """The order is shown as before the agreement, with as much as it has filled since then."""
    filled = order("1", "BUY", "1", placed_ms=SINCE_MS, updated_ms=SINCE_MS)
    assert unexplained(weigh(drift("2", "1"), evidence(filled, trades=trades_of([FILLED])), ADOPTED)).gap is (
        Gap.ORDER_BEHIND
    )


def test_a_later_change_of_an_order_that_shows_all_its_trades_does_not_matter() -> None:
    cancelled = order("1", "BUY", "1", updated_ms=VERIFIED_MS + 1)
    assert explained(weigh(drift("1", "0"), evidence(cancelled), ADOPTED)).adopted


def test_fills_in_one_millisecond_need_a_later_order_or_a_memory() -> None:
    """Of an order from before the agreement, with two fills at once, the exchange may show one of them."""
    at_once = (trade(1, TRADED_MS, "1"), trade(2, TRADED_MS, "1"))
    for updated_ms, memories, gap in (
        (TRADED_MS, {}, Gap.ORDER_BEHIND),
        (TRADED_MS + 1, {}, None),
        (TRADED_MS, {"1": "3"}, None),
    ):
        older = order("1", "BUY", "5", placed_ms=SINCE_MS, updated_ms=updated_ms)
        found = weigh(drift("5", "3"), evidence(older, trades=at_once, memories=memories), ADOPTED)
        assert (found.gap if isinstance(found, Unexplained) else None) is gap
    # No result will come of an order of the exchange's.
    forced = order("1", "BUY", "5", "autoclose-1", placed_ms=SINCE_MS)
    assert explained(weigh(drift("5", "3"), evidence(forced, trades=at_once), ADOPTED)).adopted


def test_an_outside_order_needs_its_trades_alone() -> None:
    behind = order("1", "BUY", "0.5", PERSON, placed_ms=SINCE_MS, updated_ms=SINCE_MS)
    looked = evidence(behind, trades=trades_of([FILLED]))
    assert explained(weigh(drift("1", "0"), looked, ADOPTED)).foreign[0].quantity == 1


def test_a_cumulative_ahead_of_the_trades_is_not_booked_beyond_them() -> None:
    """The second fill, of 2, is in the order and not yet in the trades: the position must not have it."""
    looked = evidence(order("1", "BUY", "3", placed_ms=SINCE_MS), trades=(trade(1, TRADED_MS, "1"),))
    assert unexplained(weigh(drift("3", "0"), looked, ADOPTED)).gap is None
