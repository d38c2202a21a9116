"""Orders whose outcome is unknown: held, followed, and ended only by evidence."""

from __future__ import annotations

import msgspec
import pytest
import trio

from brain.execution.orders import (
    Accepted,
    NotSent,
    OrderOutcome,
    OrderRequest,
    OrderState,
    Refused,
    Unknown,
)
from brain.execution.record import OrderPhase
from brain.identifiers import ClientOrderId, PlanId, Symbol
from brain.moment import Moment
from channels import Lease
from clock import TrioClock
from clocks.clocks import Clocks
from exchange.errors import ExchangeUnavailable, RateLimited
from store.execution_records import OrderProgress
from tests.actors.dictated_orders import DictatedOrders
from tests.actors.executor_rig import EPOCH_MS, ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time

UNKNOWN = Unknown("timeout after sending")


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Refused("binance_error:-2019", "margin"), "binance_error:-2019"),
        (Refused("binance_error:-1021", "time"), "binance_error:-1021"),
        (Refused("binance_error:503", "Service Unavailable."), "binance_error:503"),
        (NotSent("connect"), "not_sent:connect"),
        (NotSent("ban"), "not_sent:ban"),
    ],
)
async def test_an_order_that_was_refused_or_not_sent_is_over_at_once(
    rig: ExecutorRig, outcome: OrderOutcome, error: str
) -> None:
    rig.exchange.answer = rig.exchange.always(outcome)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.2)
    result = rig.result("p1")
    assert (result["executed"], result["error"]) == ("false", error)
    assert (rig.record("p1")["state"], rig.pending(), rig.is_held()) == ("final", 0, False)
    assert rig.exchange.queries == []


async def test_an_unknown_order_holds_its_symbol_and_is_not_reported(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.06)
        assert rig.redis.get(rig.keys.hold("BTCUSDT")) == b"1"
        assert rig.redis.get(rig.own.hold_reason("BTCUSDT")) == b"execution_unknown:p1"
        assert rig.redis.get(rig.own.hold_sig("BTCUSDT")) == f"exec:{rig.client_id('p1')}".encode()
        await trio.sleep(25)
        assert rig.published_results() == []
        assert (rig.record("p1")["state"], rig.is_held(), rig.pending()) == ("unknown", True, 1)
        assert rig.redis.zrange(rig.own.open) == [b"p1"]


async def test_the_exchange_is_asked_soon_and_then_each_ten_seconds(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    rig.exchange.latency_sec = 0.0
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.001)
        began_sec = trio.current_time()
        await trio.sleep(32)
    asked = [round(at_sec - began_sec, 1) for at_sec in rig.exchange.queries]
    assert asked == [0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0]


async def test_an_event_of_the_stream_ends_it(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.06)
        rig.observe(rig.exchange.state(rig.exchange.requests[0], price="100.5"))
        await trio.sleep(0.01)
        result = rig.result("p1")
        assert (result["executed"], result["filled_qty"], result["avg_price"]) == ("true", "0.5", "100.5")
        assert not rig.is_held()
        await trio.sleep(60)
    assert len(rig.published_results()) == 1


async def test_a_query_ends_it_and_an_order_that_is_shown_late_is_waited_for(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(3)
        (request,) = rig.exchange.requests
        order = rig.exchange.visible[request.client_order_id] = rig.exchange.state(request)
        rig.exchange.prices[order.order_id] = rig.exchange.state(request).cumulative
        await trio.sleep(3)
        result = rig.result("p1")
        assert (result["executed"], result["avg_price"]) == ("true", "0.5")
        assert (rig.is_held(), rig.pending()) == (False, 0)
    assert len(rig.exchange.requests) == 1


async def test_each_step_is_audited_with_the_permits_that_were_consumed(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        permit, grant = rig.permit("p1"), rig.grant("p1")
        rig.publish("p1")
        await trio.sleep(1)
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(0.1)
        rig.publish("p2", decision="SKIP")
        await trio.sleep(0.1)
    records = [fields for _, fields in rig.redis.xrange(rig.own.audit)]
    steps = [fields[b"step"].decode() for fields in records]
    assert steps == ["begin", "answer", "hold", "answer", "query", "query", "finish", "release", "refuse"]
    assert (records[0][b"permit:P3.3"], records[0][b"permit:Governor"]) == (permit, grant)
    assert {fields[b"plan_id"] for fields in records[:-1]} == {b"p1"}
    assert records[-3][b"source"] == b"event"


async def not_found_after_sec(rig: ExecutorRig) -> float | None:
    """Return after how long an order that was never taken is reported as not found; None within 100 s."""
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.05)
        sent_sec = trio.current_time()
        for _ in range(1000):
            await trio.sleep(0.1)
            if rig.published_results():
                result = rig.result("p1")
                assert (result["executed"], result["error"]) == ("false", "order_not_found")
                assert (rig.is_held(), rig.pending()) == (False, 0)
                return trio.current_time() - sent_sec
        assert rig.is_held()
        return None


async def test_absence_is_proven_behind_the_settle_time_with_two_answers_five_seconds_apart(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    took_sec = await not_found_after_sec(rig)
    assert took_sec is not None and 33 + 5 <= took_sec <= 51
    # With the first answer behind the settle time, and with the last: the list may be late, too.
    assert rig.exchange.lists == ["BTCUSDT", "BTCUSDT"]


async def test_a_stream_that_began_after_the_request_proves_nothing(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    async def later() -> None:
        await trio.sleep(1)
        await rig.prove_stream()

    nursery.start_soon(later)
    assert await not_found_after_sec(rig) is None


async def test_a_position_that_the_ledger_explains_stands_for_the_stream(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    async def read_positions() -> None:
        while True:
            await trio.sleep(4)
            rig.position("BTCUSDT", "0")

    rig.ledger("BTCUSDT", "0")
    nursery.start_soon(read_positions)
    assert await not_found_after_sec(rig) is not None


async def test_a_position_that_the_ledger_does_not_explain_keeps_the_hold(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    async def read_positions() -> None:
        while True:
            await trio.sleep(4)
            rig.position("BTCUSDT", "0.5")

    rig.ledger("BTCUSDT", "0")
    nursery.start_soon(read_positions)
    assert await not_found_after_sec(rig) is None


async def test_an_exchange_that_does_not_answer_proves_nothing(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    rig.exchange.failure = ExchangeUnavailable("away")
    assert await not_found_after_sec(rig) is None


async def test_a_refusal_for_too_many_requests_is_one_query_behind_the_ban(rig: ExecutorRig) -> None:
    outcome = Unknown("status 429", refused_unless_found=True, error="binance_error:429")
    rig.exchange.answer = rig.exchange.always(outcome)
    async with running_executor(rig):
        until = rig.clock.now().earlier_by(-20)
        rig.exchange.failure = RateLimited(until, "429")
        rig.open("p1")
        await trio.sleep(15)
        assert rig.published_results() == [] and rig.is_held()
        rig.exchange.failure = None
        await trio.sleep(4)
        assert rig.published_results() == []
        await trio.sleep(20)
    assert rig.result("p1")["error"] == "binance_error:429"
    assert not rig.is_held()


async def test_an_order_that_works_on_keeps_its_reservation_and_holds_nothing(rig: ExecutorRig) -> None:
    def working(request: OrderRequest) -> OrderOutcome:
        order = rig.exchange.visible[request.client_order_id] = rig.exchange.state(request, "NEW", "0")
        return Accepted(order)

    rig.exchange.answer = working
    async with running_executor(rig):
        ends_ms = rig.clock.now().wall_ms + 60_000
        rig.redis.hset(rig.keys.open_permits("BTCUSDT"), {"v": "1", "p:p1": f"BOTH|open|BUY|0.5|{ends_ms}"})
        rig.open("p1")
        await trio.sleep(1000)
        stored = rig.redis.hgetall(rig.keys.open_permits("BTCUSDT"))[b"p:p1"].decode()
        assert int(stored.rpartition("|")[2]) > rig.clock.now().wall_ms + 100_000
        assert (rig.is_held(), rig.published_results()) == (False, [])


async def test_an_order_that_another_process_has_ended_is_let_go_of_with_the_next_lease(
    rig: ExecutorRig,
) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    fence = await rig.take_lease()
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(1)
        await rig.store.release_lease(fence)
        others = (await rig.store.hold_lease("another", None, 60_000)).fence
        rig.lease.send(Lease(None, "another"))
        unknown = await rig.store.order_record(PlanId("p1"))
        assert unknown is not None
        ended = msgspec.structs.replace(
            unknown, phase=OrderPhase.FINAL, error="order_not_found", version=unknown.version + 1
        )
        step = OrderProgress(record=ended, result=("plan_id", "p1"), cooldown_ms=None)
        assert others is not None and await rig.store.record_progress(others, step)
        await rig.store.release_lease(others)
        await rig.take_lease()
        await trio.sleep(15)
        assert not rig.is_held()
        asked = len(rig.exchange.queries)
        await trio.sleep(400)
    assert (len(rig.exchange.queries), rig.is_held()) == (asked, False)


async def test_a_wall_clock_that_is_set_back_makes_no_evidence_later_than_it_is(
    rig: ExecutorRig, nursery: trio.Nursery
) -> None:
    assert isinstance(rig.clock, TrioClock)
    clock = rig.clock

    class OfItsOwn(DictatedOrders):
        """An exchange whose clock runs on where this host's is set."""

        def exchange_ms(self, at: Moment) -> int:
            return EPOCH_MS + round(at.monotonic_sec * 1000)

        exchange_ms_at_least = exchange_ms_at_most = exchange_ms

        async def find_order(self, symbol: Symbol, client_order_id: ClientOrderId) -> OrderState | None:
            found = await super().find_order(symbol, client_order_id)
            if trio.current_time() < 30:
                clock.epoch_ms -= 3_600_000
            return found

    rig.exchange = OfItsOwn(rig.clock)
    rig.clocks = Clocks(rig.clock, rig.exchange)
    rig.making = rig.make(rig.store)
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    took_sec = await not_found_after_sec(rig)
    assert took_sec is not None and 49 < took_sec < 51
