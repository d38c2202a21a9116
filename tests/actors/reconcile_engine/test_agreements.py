"""Equal amounts that are no agreement: own fills and outside trades that make nothing together."""

from __future__ import annotations

import pytest
import trio

from brain.identifiers import OrderId
from tests.actors.reconcile_rig import ReconcileRig, running_engine, shown_orders
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def permit(rig: ReconcileRig, *, quantity: str, life_sec: float) -> None:
    """P3.3 has permitted a BUY that no result has settled."""
    ends_ms = rig.clock.now().wall_ms + round(life_sec * 1000)
    rig.redis.hset(
        rig.keys.open_permits("BTCUSDT"), {"v": "d1", "p:plan-a": f"BOTH|open|BUY|{quantity}|{ends_ms}"}
    )


def book(rig: ReconcileRig, order_id: OrderId, quantity: str, *, ledger: str, version: str) -> None:
    """A result is booked, and has ended the order's permit."""
    rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {order_id: f"{quantity}|1760000000000"})
    rig.redis.delete(rig.keys.open_permits("BTCUSDT"))
    rig.ledger("BTCUSDT", ledger, version=version)
    if rig.moved_ledgers is not None:
        rig.moved_ledgers.send("BTCUSDT")  # type: ignore[arg-type]


def named(rig: ReconcileRig) -> list[tuple[str, str, str]]:
    return [(each["cause"], each["side"], each["qty"]) for each in shown_orders(rig.state("BTCUSDT"))]


@pytest.mark.parametrize("apart_sec", [0.0, 0.05, 1.5, 20.0])
async def test_an_outside_trade_that_undoes_an_unbooked_own_fill_stays_evidence(
    rig: ReconcileRig, apart_sec: float
) -> None:
    """The result of the own order comes long after both have made nothing together."""
    rig.own_order("p33-a")
    permit(rig, quantity="1", life_sec=90)
    async with running_engine(rig):
        own = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(apart_sec)
        rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_1")
        await trio.sleep(30)
        assert rig.told("BTCUSDT") == []
        book(rig, own, "1", ledger="1", version="2")
        await trio.sleep(8)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert named(rig) == [("manual", "SELL", "1")]


async def test_it_stays_evidence_when_the_permit_has_expired_and_another_process_has_begun(
    rig: ReconcileRig,
) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        own = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_1")
        await trio.sleep(200)
    await trio.sleep(4000)
    rig.making = rig.make()
    async with running_engine(rig):
        await trio.sleep(30)
        book(rig, own, "1", ledger="1", version="2")
        await trio.sleep(8)
        assert named(rig) == [("manual", "SELL", "1")]


async def test_a_later_own_fill_is_booked_with_both_of_them_named(rig: ReconcileRig) -> None:
    for name in ("p33-a", "p33-b"):
        rig.own_order(name)
    async with running_engine(rig):
        first = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_1")
        await trio.sleep(10)
        rig.trade("BTCUSDT", "BUY", "5", client_order_id="p33-b")
        await trio.sleep(6)
        # The first own fill is booked, too, and what the outside trade took waits for a person.
        assert (rig.amount("BTCUSDT"), rig.memory("BTCUSDT", first)) == ("6", "1")
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert named(rig) == [("manual", "SELL", "1")]


async def test_equal_amounts_while_an_order_is_in_flight_are_no_agreement(rig: ReconcileRig) -> None:
    """The ledger has moved by another order: all that is equal now would be taken for booked."""
    for name in ("p33-a", "p33-b"):
        rig.own_order(name)
    async with running_engine(rig):
        permit(rig, quantity="2", life_sec=90)
        first = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        second = rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-b")
        rig.trade("BTCUSDT", "SELL", "2", client_order_id="web_1")
        rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {first: "1|1760000000000"})
        rig.ledger("BTCUSDT", "1", version="2")
        await trio.sleep(20)
        assert rig.told("BTCUSDT") == []
        book(rig, second, "2", ledger="3", version="3")
        await trio.sleep(8)
        assert named(rig) == [("manual", "SELL", "2")]


async def test_an_order_that_the_executor_holds_its_symbol_for_is_in_flight(rig: ReconcileRig) -> None:
    for name in ("p33-a", "p33-b"):
        rig.own_order(name)
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "exec:p33-b")
        first = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        second = rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-b")
        rig.trade("BTCUSDT", "SELL", "2", client_order_id="web_1")
        book(rig, first, "1", ledger="1", version="2")
        await trio.sleep(20)
        rig.release("BTCUSDT")
        book(rig, second, "2", ledger="3", version="3")
        await trio.sleep(8)
        assert named(rig) == [("manual", "SELL", "2")]


async def test_equal_amounts_after_a_booking_agree_once_they_have_lasted(rig: ReconcileRig) -> None:
    """The order has no permit, and its result comes within P34_SETTLE_SEC."""
    for name in ("p33-a", "p33-b"):
        rig.own_order(name)
    async with running_engine(rig):
        first = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        second = rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-b")
        rig.trade("BTCUSDT", "SELL", "2", client_order_id="web_1")
        book(rig, first, "1", ledger="1", version="2")
        await trio.sleep(1.5)
        book(rig, second, "2", ledger="3", version="3")
        await trio.sleep(8)
        assert named(rig) == [("manual", "SELL", "2")]


async def test_trades_that_a_person_has_accepted_are_no_evidence_of_the_next_drift(
    rig: ReconcileRig,
) -> None:
    """The ledger has been elsewhere since it had this amount: a booking, and a correction back."""
    rig.own_order("p33-a")
    async with running_engine(rig):
        own = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_1")
        book(rig, own, "1", ledger="1", version="2")
        await trio.sleep(8)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0"})
        await trio.sleep(8)
        assert rig.status("BTCUSDT") == "OK"
        rig.trade("BTCUSDT", "BUY", "3", client_order_id="web_2")
        await trio.sleep(5)
        assert named(rig) == [("manual", "BUY", "3")]


async def test_a_correction_in_another_form_makes_an_agreement_too(rig: ReconcileRig) -> None:
    """The text of the ledger is another one than P3.3 would write, for as long as nothing is booked."""
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        await trio.sleep(8)
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0.500"})
        await trio.sleep(8)
        assert rig.status("BTCUSDT") == "OK"
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1.5"


async def test_a_correction_agrees_although_an_order_may_be_in_flight(rig: ReconcileRig) -> None:
    """An own fill follows before the executor's hold has ended: it alone is evidence."""
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(8)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        rig.release("BTCUSDT")
        rig.hold_by("BTCUSDT", "exec:p33-a")
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "1"})
        await trio.sleep(4)
        rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
        await trio.sleep(1)
        rig.release("BTCUSDT")
        await trio.sleep(8)
        assert rig.amount("BTCUSDT") == "3"


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_sum_that_comes_out_by_chance_behind_an_unseen_correction_books_nothing(
    rig: ReconcileRig, adopted: bool
) -> None:
    """A person sets a ledger while no engine runs; then a trade is on the exchange that no list shows yet."""
    for name in ("p33-a", "p33-b"):
        rig.own_order(name)
    if adopted:
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_0")
        rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_0")
        rig.ledger("BTCUSDT", "0", adopted_exchange_ms=f"BOTH:{rig.changed_ms['BTCUSDT']}")
    async with running_engine(rig):
        await trio.sleep(5)
    own = rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
    book(rig, own, "2", ledger="2", version="2")
    rig.trade("BTCUSDT", "SELL", "2", client_order_id="web_1")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-b")
    rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_2")
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0"})
    await trio.sleep(1)
    rig.move("BTCUSDT", "-2")
    rig.making = rig.make()
    async with running_engine(rig):
        await trio.sleep(3)
        assert "AUTO_REPAIR" not in rig.told("BTCUSDT")
        assert rig.state("BTCUSDT")["why"] == "0 and all trades since make 0, the exchange has -2"
        rig.history.fill("BTCUSDT", "SELL", "2", client_order_id="web_3", time_ms=rig.changed_ms["BTCUSDT"])
        await trio.sleep(30)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.amount("BTCUSDT") == "0"


async def test_an_agreement_of_a_flat_symbol_counts_after_a_long_downtime(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        await trio.sleep(60)
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
    await trio.sleep(10_000)
    rig.making = rig.make()
    async with running_engine(rig):
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]


@pytest.mark.simulation
async def test_an_agreement_stays_noted_for_as_long_as_the_engine_runs(rig: ReconcileRig) -> None:
    rig.agree("ETHUSDT", "2")
    async with running_engine(rig):
        await trio.sleep(60)
        noted = {symbol: rig.state(symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
        await trio.sleep(3_700)
        for symbol, state in noted.items():
            assert rig.state(symbol)["agreed_ms"] == state["agreed_ms"]
            assert rig.redis.pttl(rig.own.state(symbol)) > 86_200_000


async def test_an_outside_trade_behind_a_permit_of_more_is_found_when_the_permit_has_ended(
    rig: ReconcileRig,
) -> None:
    """The order of the permit was never sent: its part of the quantity could be one that fills."""
    async with running_engine(rig):
        permit(rig, quantity="1", life_sec=30)
        rig.trade("BTCUSDT", "BUY", "0.4", client_order_id="web_1")
        await trio.sleep(25)
        assert rig.told("BTCUSDT") == []
        await trio.sleep(12)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert named(rig) == [("manual", "BUY", "0.4")]
