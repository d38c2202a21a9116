"""Redelivery, outages, stops, two instances, the manual lane, dry runs, and plans that fail."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from actors.stream_consumer import MOST_FAILURES
from brain.execution.orders import Unknown
from brain.identifiers import FencingToken
from channels import Lease
from store.errors import StoreRefusedError
from store.execution_records import BeginReply, OrderBegin
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.executor_rig import RULES, ExecutorRig, running_executor
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_entry_that_is_delivered_again_while_its_order_is_open_is_left_alone(
    rig: ExecutorRig,
) -> None:
    rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(30)
        ((_, _, deliveries),) = rig.redis.xpending(rig.keys.plans, "intent_executor").values()
        assert deliveries > MOST_FAILURES
    rig.exchange.answer = rig.exchange.fill
    async with running_executor(rig):
        await trio.sleep(3)
        assert rig.published_results() == [] and rig.is_held()
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(0.1)
    assert rig.result("p1")["executed"] == "true"
    assert (len(rig.exchange.requests), rig.pending()) == (1, 0)
    assert rig.redis.xrange(rig.keys.dead_plans) == []


async def test_of_two_executors_that_both_read_a_plan_one_sends_an_order(rig: ExecutorRig) -> None:
    """A stopped process goes on with a lease that another one has."""
    await rig.take_lease()
    other = MemoryStore(rig.redis, keys=rig.keys, consumer="other")
    async with (
        background(rig.making.executor().run, Heartbeat()),
        background(rig.make(other).executor().run, Heartbeat()),
    ):
        await trio.testing.wait_all_tasks_blocked()
        for number in range(20):
            rig.publish(f"p{number}")
        await trio.sleep(0.5)
        for number in range(20):
            rig.permit(f"p{number}")
            rig.grant(f"p{number}")
        await trio.sleep(5)
    sent = [request.client_order_id for request in rig.exchange.requests]
    assert len(sent) == len(set(sent))
    results = [each["plan_id"] for each in rig.published_results()]
    assert sorted(results) == sorted(f"p{number}" for number in range(20))


async def test_without_the_lease_nothing_is_read(rig: ExecutorRig) -> None:
    rig.lease.send(Lease(None, "another"))
    async with background(rig.making.executor().run, Heartbeat()):
        await trio.sleep(1)
        rig.open("p1")
        await trio.sleep(3)
        assert rig.published_results() == [] and rig.exchange.requests == []


async def test_a_server_that_does_not_push_is_polled(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> object:
        raise StoreRefusedError("unknown subcommand")

    monkeypatch.setattr(rig.store, "permit_changes", refuse)
    async with running_executor(rig):
        rig.publish("p1")
        await trio.sleep(0.5)
        rig.permit("p1")
        rig.grant("p1")
        await trio.sleep(0.006)
        assert len(rig.exchange.requests) == 1


async def test_a_lost_push_costs_no_more_than_a_look(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = rig.redis.watching
    monkeypatch.setattr(rig.redis, "watching", lambda _prefixes: watching(("nothing:",)))
    async with running_executor(rig):
        rig.publish("p1")
        await trio.sleep(0.52)
        rig.permit("p1")
        rig.grant("p1")
        await trio.sleep(0.251)
        assert len(rig.exchange.requests) == 1


async def test_a_dry_run_consumes_nothing_sends_nothing_and_publishes_to_its_own_stream() -> None:
    rig = ExecutorRig(msgspec.structs.replace(RULES, dry_run=True))
    async with running_executor(rig):
        rig.open("p1")
        rig.publish("p2", "ETHUSDT")
        rig.publish("p3", decision="SKIP")
        await trio.sleep(2)
    shown = {
        fields[b"plan_id"]: (fields[b"executed"], fields[b"would_execute"], fields[b"error"], fields[b"qty"])
        for _, fields in rig.redis.xrange(rig.own.dry_run)
    }
    assert shown == {
        b"p1": (b"false", b"true", b"", b"0.5"),
        b"p2": (b"false", b"false", b"permit_timeout (missing: Governor, P3.3)", b""),
        b"p3": (b"false", b"false", b"skip", b""),
    }
    assert rig.exchange.requests == [] and rig.published_results() == []
    assert rig.redis.get(rig.keys.permit("p1")) is not None
    assert rig.redis.get(rig.keys.permit_consumer("p1")) is None
    assert rig.redis.xpending(rig.keys.plans, "intent_executor_shadow") == {}
    assert rig.record("p1") == {}


async def test_a_plan_whose_handling_fails_each_time_is_a_dead_letter_and_refused(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_order = rig.store.begin_order

    async def fail(fence: FencingToken, begin: OrderBegin) -> BeginReply:
        if begin.record.plan_id == "p1":
            raise ZeroDivisionError
        return await begin_order(fence, begin)

    monkeypatch.setattr(rig.store, "begin_order", fail)
    crashes = 0
    for _ in range(MOST_FAILURES + 1):
        try:
            async with running_executor(rig):
                if crashes == 0:
                    rig.open("p1")
                    rig.open("p2", "ETHUSDT")
                await trio.sleep(1)
        except* ZeroDivisionError:
            crashes += 1
    assert crashes == MOST_FAILURES
    assert rig.result("p1")["error"] == "evaluation_failed"
    ((_, letter),) = rig.redis.xrange(rig.keys.dead_plans)
    assert letter[b"plan_id"] == b"p1"
    assert rig.published_results("p2") != []
    assert rig.pending() == 0


async def test_undecided_orders_are_shown(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    assert rig.open_executions is not None
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(40)
        assert rig.open_executions.value is not None
        (shown,) = rig.open_executions.value
        assert (shown.plan_id, shown.symbol, shown.held) == ("p1", "BTCUSDT", True)
        assert 38 <= shown.age_sec <= 41 and shown.lacking
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1.1)
        assert rig.open_executions.value == ()


async def test_undecided_orders_are_not_shown_while_another_process_has_the_lease(rig: ExecutorRig) -> None:
    """It takes them over, and may have ended them long ago."""
    rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    assert rig.open_executions is not None
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(10)
        assert rig.open_executions.value
        rig.lease.send(Lease(None, "another"))
        await trio.sleep(3)
        assert rig.open_executions.value == ()
        await rig.take_lease()
        await trio.sleep(3)
        assert rig.open_executions.value


async def test_a_plan_whose_order_is_open_gets_no_refusal_however_late_it_is_read(rig: ExecutorRig) -> None:
    """The process ended between the begin and the answer, and the set of open orders was lost."""
    rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.01)
    rig.redis.delete(rig.own.open)
    await trio.sleep(10)
    async with running_executor(rig):
        await trio.sleep(1)
        assert (rig.pending(), rig.is_held(), rig.published_results()) == (1, True, [])
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1)
    assert rig.result("p1")["executed"] == "true"
    assert (rig.pending(), rig.is_held()) == (0, False)


async def test_a_record_that_cannot_be_read_holds_its_symbol_until_it_is_repaired(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(1)
    rig.redis.delete(rig.keys.hold("BTCUSDT"))
    rig.redis.delete(rig.keys.plans)
    rig.redis.hset(rig.own.order("p1"), {"state": "nonsense"})
    async with running_executor(rig):
        await trio.sleep(400)
        assert rig.is_held()
        rig.redis.hset(rig.own.order("p1"), {"state": "unknown"})
        await trio.sleep(11)
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1)
        assert rig.result("p1")["executed"] == "true"
        assert not rig.is_held()
        await trio.sleep(10)
        assert rig.open_executions is not None and rig.open_executions.value == ()
