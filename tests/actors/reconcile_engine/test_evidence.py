"""Evidence that is incomplete, late, paged or refused: the hold stays, and the next look comes later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise

import pytest
import trio
from msgspec.structs import replace

from brain.identifiers import OrderId
from brain.positions.symbol_state import StreamProof
from channels import BookEntry
from exchange.errors import ExchangeRejected, ExchangeUnavailable, RateLimited
from store.memory.store import MemoryStore
from store.reconcile_records import ComparedLedgers, ExpectedLedger
from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.mark.parametrize("lag_sec", [0.5, 2.0, 5.0])
async def test_evidence_that_comes_late_is_waited_for(rig: ReconcileRig, lag_sec: float) -> None:
    rig.own_order("p33-a")
    rig.history.lag_sec = lag_sec
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(9)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]


@pytest.mark.parametrize("trades", [9, 10, 11, 35])
async def test_every_page_of_trades_counts(rig: ReconcileRig, trades: int) -> None:
    rig.own_order("p33-a")
    rig.history.page = 10
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        for _ in range(trades - 1):
            rig.trade("BTCUSDT", "BUY", "1", order_id=order_id)
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == str(trades)


async def test_a_failure_in_the_middle_of_the_pages_books_nothing(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    rig.own_order("p33-b")
    rig.history.page = 1
    rig.history.on_request = lambda request: (
        rig.history.failures.append(ExchangeUnavailable("cut")) if request.method == "trades" else None
    )
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-b")
        await trio.sleep(20)
        assert rig.amount("BTCUSDT") == "0"
        assert rig.held_by("BTCUSDT").startswith("p34:")
        assert rig.told("BTCUSDT") == ["HOLD_SET", "EVIDENCE_INCOMPLETE"]
        rig.history.on_request = lambda _request: None
        rig.history.failures.clear()
        await trio.sleep(30)
        assert rig.amount("BTCUSDT") == "2"


async def test_looks_that_fail_come_later_and_later_up_to_a_minute(rig: ReconcileRig) -> None:
    rig.history.failure = ExchangeUnavailable("no answer")
    async with running_engine(rig):
        rig.move("BTCUSDT", "1")
        await trio.sleep(400)
        times = [each.at_sec for each in rig.history.requests]
        pauses = [after - before for before, after in pairwise(times)]
        for pause, expected in zip(pauses, (1, 2, 4, 8, 16, 32, 60, 60, 60), strict=False):
            assert expected <= pause <= expected + 1.2
        assert rig.told("BTCUSDT") == ["HOLD_SET", "EVIDENCE_INCOMPLETE"]
        assert rig.status("BTCUSDT") == "HOLD"
        assert rig.held_by("BTCUSDT").startswith("p34:")


async def test_a_ban_is_waited_out(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        until = rig.clock.now().earlier_by(-100)
        rig.history.failure = RateLimited(until, "banned")
        rig.own_order("p33-a")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(90)
        assert len(rig.history.requests) == 1
        rig.history.failure = None
        await trio.sleep(15)
        assert rig.amount("BTCUSDT") == "1"


async def test_a_refused_request_of_one_symbol_does_not_stop_the_others(rig: ReconcileRig) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rig.own_order(f"p33-{symbol}")
    rig.history.on_request = lambda request: (
        rig.history.failures.append(ExchangeRejected(-1121, "Invalid symbol."))
        if request.symbol == "BTCUSDT"
        else None
    )
    async with running_engine(rig):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            rig.trade(symbol, "BUY", "1", client_order_id=f"p33-{symbol}")
        await trio.sleep(6)
        assert (rig.amount("BTCUSDT"), rig.amount("ETHUSDT")) == ("0", "1")


async def test_an_order_that_the_exchange_does_not_show_is_asked_for_again(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.history.hidden.add(order_id)
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "0"
        assert "EVIDENCE_INCOMPLETE" in rig.told("BTCUSDT")
        rig.history.hidden.clear()
        await trio.sleep(9)
        assert rig.amount("BTCUSDT") == "1"


async def test_many_orders_are_read_with_one_request(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        for number in range(8):
            rig.own_order(f"p33-{number}")
            rig.trade("BTCUSDT", "BUY", "1", client_order_id=f"p33-{number}")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "8"
        assert [each.method for each in rig.history.requests] == ["trades", "orders"]


async def test_a_trade_from_before_the_last_agreement_is_no_evidence(rig: ReconcileRig) -> None:
    """The manual trade of 1 was accepted by an operator; only the drift of another 1 is open."""
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "1"})
        await trio.sleep(10)
        rig.own_order("p33-a")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "2"


async def test_a_fill_is_evidence_if_nothing_but_the_stream_has_proven_the_position_without_it(
    rig: ReconcileRig,
) -> None:
    """Its event was lost, and a read shows the position 5 s later."""
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.unproven.add("BTCUSDT")
        snapshot, since = rig.book.get("BTCUSDT"), rig.clock.now()
        assert snapshot is not None
        rig.book.publish(0, BookEntry(snapshot, since))
        await trio.sleep(0.1)
        rig.history.fill("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        for _ in range(5):
            await trio.sleep(1)
            rig.book.prove(0, StreamProof(since, rig.clock.now()))
        assert rig.told("BTCUSDT") == []
        rig.unproven.clear()
        rig.move("BTCUSDT", "1")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]


async def test_a_push_makes_an_agreement_from_its_own_time_on_and_not_from_its_arrival(
    rig: ReconcileRig,
) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.unproven.add("BTCUSDT")
        snapshot, pushed = rig.book.get("BTCUSDT"), rig.clock.now()
        assert snapshot is not None
        await trio.sleep(0.5)
        order_id = rig.history.fill("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(0.5)
        rig.book.publish(0, BookEntry(replace(snapshot, verified_at=pushed), rig.clock.now()))
        await trio.sleep(1)
        rig.unproven.clear()
        rig.move("BTCUSDT", "1")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.memory("BTCUSDT", order_id) == "1"


class _BusyStore(MemoryStore):
    """Something happens between the comparison in Redis and its answer."""

    happens: Callable[[], object] | None = None

    async def differing_ledgers(self, expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
        found = await super().differing_ledgers(expected)
        happens, self.happens = self.happens, None
        if happens is not None:
            await trio.sleep(0.1)
            happens()
        return found


async def test_a_position_that_moves_during_the_comparison_does_not_agree_until_then(
    rig: ReconcileRig,
) -> None:
    rig.own_order("p33-a")
    store = _BusyStore(rig.redis, keys=rig.keys, consumer="me")
    async with running_engine(rig, rig.make(store)):
        store.happens = lambda: rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "1"


async def test_trades_from_before_the_window_are_no_evidence() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_EVIDENCE_WINDOW_SEC": "60"}))
    rig.own_order("p33-a")
    begun_ms = rig.clock.now().wall_ms
    rig.ledger("BTCUSDT", "0")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a", time_ms=begun_ms - 70_000)
    async with running_engine(rig):
        await trio.sleep(30)
        assert rig.amount("BTCUSDT") == "0"
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"


async def test_a_record_of_the_executor_that_cannot_be_read_books_nothing(rig: ReconcileRig) -> None:
    rig.redis.set(rig.executor_keys.plan_of("p33-a"), "a-plan")
    rig.redis.set(rig.executor_keys.order("a-plan"), "not a record")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "0"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "EVIDENCE_INCOMPLETE"]


async def test_an_order_memory_that_cannot_be_read_books_nothing(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {order_id: "a lot"})
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "0"


async def test_a_position_that_moves_during_the_look_is_compared_anew(rig: ReconcileRig) -> None:
    for name in ("p33-a", "p33-b"):
        rig.own_order(name)
    moved: list[OrderId] = []

    def move(_request: object) -> None:
        if not moved:
            moved.append(rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-b"))

    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.history.on_request = move
        await trio.sleep(6)
        assert Decimal(rig.amount("BTCUSDT")) == 3


async def test_a_fill_of_the_very_millisecond_of_the_agreement_is_evidence(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        agreed_ms = int(rig.state("BTCUSDT")["agreed_ms"])
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a", time_ms=agreed_ms)
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
