"""Fills that no result has booked are booked from the exchange's trades."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from brain.positions.position import Leg
from tests.actors.dictated_history import HistoryRequest
from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine, shown_orders
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_own_fill_whose_result_was_lost_is_booked_within_5_s(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "0.5")
    rig.own_order("p33-a")
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "0.3", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "0.8"
        assert rig.stored("BTCUSDT")["source"] == "reconciled"
        assert rig.stored("BTCUSDT")["version"] == "2"
        assert rig.memory("BTCUSDT", order_id) == "0.3"
        assert rig.held_by("BTCUSDT") == ""
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]
        assert rig.status("BTCUSDT") == "REPAIRED"
        assert rig.case("BTCUSDT") is None
        (named,) = shown_orders(rig.events("BTCUSDT")[-1])
        assert (named["order_id"], named["cause"], named["qty"]) == (order_id, "own_unbooked", "0.3")


async def test_a_repair_needs_one_round_of_evidence_of_two_requests(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "2", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "-2"
        assert [each.method for each in rig.history.requests] == ["trades", "order"]


async def test_the_growth_of_an_order_over_its_memory_is_booked(rig: ReconcileRig) -> None:
    """A result reported 0.3 of the order, the one that reported 1.0 was lost."""
    rig.agree("BTCUSDT", "0")
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "0.3", client_order_id="apply_7")
        rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {order_id: "0.3|1760000000000"})
        rig.ledger("BTCUSDT", "0.3", version="2")
        await trio.sleep(1)
        rig.trade("BTCUSDT", "BUY", "0.7", order_id=order_id)
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.stored("BTCUSDT")["version"] == "3"
        assert rig.memory("BTCUSDT", order_id) == "1"
        (named,) = shown_orders(rig.events("BTCUSDT")[-1])
        assert (named["cause"], named["qty"], named["cumulative"]) == ("own_unbooked", "0.7", "1")


async def test_an_order_of_ours_without_a_record_is_booked_with_an_event_of_its_own(
    rig: ReconcileRig,
) -> None:
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-lost")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR", "ORPHAN_ORDER"]
        assert rig.events("BTCUSDT")[-1]["order_id"] == order_id


async def test_the_event_of_an_order_without_a_record_is_written_with_its_repair(rig: ReconcileRig) -> None:
    """Whatever happens after the repair, the event is there, as its trades are found no more."""

    def fail_what_follows(request: HistoryRequest) -> None:
        if request.method == "order":
            rig.store.faults.fail_next("before", method="change_case")

    rig.history.on_request = fail_what_follows
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-lost")
        await trio.sleep(10)
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR", "ORPHAN_ORDER"]


async def test_an_orphan_that_the_executor_has_reported_is_booked_without_another_event(
    rig: ReconcileRig,
) -> None:
    rig.own_order("p33-a", phase="orphan")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]
        (named,) = shown_orders(rig.events("BTCUSDT")[-1])
        assert (named["cause"], named["qty"]) == ("own_orphan", "1")


@pytest.mark.parametrize(
    ("client_order_id", "cause", "forced"),
    [
        ("autoclose-1", "liquidation", True),
        ("adl_autoclose", "adl", True),
        ("settlement_autoclose-1", "settlement", False),
    ],
)
async def test_a_close_by_the_exchange_itself_is_booked(
    rig: ReconcileRig, client_order_id: str, cause: str, forced: bool
) -> None:
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "0.5", client_order_id=client_order_id, forced=forced)
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1.5"
        (named,) = shown_orders(rig.events("BTCUSDT")[-1])
        assert named["cause"] == cause


async def test_causes_that_are_not_listed_are_not_booked() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_ADOPT_CAUSES": "none"}))
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "0.5", client_order_id="autoclose-1")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "2"
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"


async def test_of_two_causes_at_once_the_own_one_is_booked_and_the_other_waits(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        manual = rig.trade("BTCUSDT", "BUY", "0.4", client_order_id="web_abc")
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR", "MANUAL_REQUIRED"]
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.held_by("BTCUSDT").startswith("p34:")
        (named,) = shown_orders(rig.state("BTCUSDT"))
        assert named["order_id"] == manual
        case = rig.case("BTCUSDT")
        assert case is not None
        assert [each.exchange - each.ledger for each in case.drift.drifted] == [Decimal("0.4")]


async def test_the_hold_for_what_is_left_has_its_own_reason_and_its_whole_life(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "1")
    rig.own_order("p33-a")
    rig.history.latency_sec = 20.0
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "3", client_order_id="p33-a")
        rig.trade("BTCUSDT", "SELL", "0.4", client_order_id="web_abc")
        await trio.sleep(30)
        assert rig.text(rig.own.hold_reason("BTCUSDT")) == "side_mismatch"
        await trio.sleep(35)
        assert rig.amount("BTCUSDT") == "-2"
        assert rig.text(rig.own.hold_reason("BTCUSDT")) == "qty_mismatch"
        assert rig.redis.pttl(rig.own.hold("BTCUSDT")) > 290_000


async def test_a_rest_within_the_tolerance_is_not_held_and_needs_no_person(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "100")
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
        manual = rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_abc")
        for _ in range(80):
            await trio.sleep(0.1)
            assert rig.status("BTCUSDT") != "MANUAL_REQUIRED"
        assert rig.amount("BTCUSDT") == "102"
        assert (rig.status("BTCUSDT"), rig.held_by("BTCUSDT")) == ("DRIFT", "")
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR", "DRIFT"]
        assert [each["order_id"] for each in shown_orders(rig.state("BTCUSDT"))] == [manual]


async def test_each_leg_is_booked_by_the_trades_of_that_leg() -> None:
    rig = ReconcileRig()
    rig.hedge_mode.send(True)
    for symbol in rig.symbols:
        rig.amounts[symbol] = {Leg.LONG: Decimal(0), Leg.SHORT: Decimal(0)}
        rig.ledger(symbol, "0", long_amt="0", short_amt="0")
    rig.prove()
    for name in ("p33-a", "p33-b"):
        rig.own_order(name)
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", leg=Leg.LONG, client_order_id="p33-a")
        rig.trade("BTCUSDT", "SELL", "1", leg=Leg.SHORT, client_order_id="p33-b")
        await trio.sleep(5)
        stored = rig.stored("BTCUSDT")
        assert (stored["last_known_amt"], stored["long_amt"], stored["short_amt"]) == ("0", "1", "-1")
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]


async def test_a_fill_is_booked_on_a_ledger_that_was_summed_by_floats(rig: ReconcileRig) -> None:
    """It agreed until the fill, which is found however long ago that was."""
    rig.agree("BTCUSDT", "0.3")
    rig.ledger("BTCUSDT", "0.30000000000000004")
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.events() == []
    rig.own_order("p33-a")
    rig.trade("BTCUSDT", "BUY", "0.1", client_order_id="p33-a")
    await trio.sleep(1000)
    async with running_engine(rig):
        await trio.sleep(5)
        assert (rig.amount("BTCUSDT"), rig.status("BTCUSDT")) == ("0.4", "REPAIRED")


async def test_a_fill_within_the_tolerance_is_booked_under_a_hold_that_ends_with_it(
    rig: ReconcileRig,
) -> None:
    rig.agree("BTCUSDT", "100")
    rig.own_order("p33-a")
    holds: list[str] = []
    rig.history.on_request = lambda _request: holds.append(rig.held_by("BTCUSDT"))
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "100.5"
        assert len(holds) == 2
        assert all(each.startswith("p34:") for each in holds)
        assert rig.held_by("BTCUSDT") == ""
        assert rig.told("BTCUSDT") == ["AUTO_REPAIR"]


async def test_a_close_of_the_engines_own_proposal_moves_no_ledger(rig: ReconcileRig) -> None:
    """The close removed what the ledger never had, and its record says so."""
    rig.agree("BTCUSDT", "1")
    rig.own_order("p33-c", decision="RECONCILE_CLOSE")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "0.3", client_order_id="p33-c")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"


async def test_an_operators_correction_in_the_middle_makes_the_repair_begin_anew(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    corrected = False

    def correct(_request: object) -> None:
        nonlocal corrected
        if not corrected:
            corrected = True
            rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0.25"})

    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.history.on_request = correct
        await trio.sleep(5)
        # 0.25 and the fill of 1 do not make the position of 1.
        assert rig.amount("BTCUSDT") == "0.25"
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0"})
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
