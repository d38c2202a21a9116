"""Answers of Redis that are lost, and state that Redis has lost."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from brain.execution.orders import Unknown
from brain.identifiers import FencingToken
from store.errors import StoreUnavailableError
from store.execution_records import BeginReply, OrderBegin
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_outage_of_redis_cancels_no_request_and_its_result_follows(rig: ExecutorRig) -> None:
    rig.exchange.latency_sec = 1.0
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.3)
        with rig.store.faults.outage():
            await trio.sleep(3)
            assert rig.published_results() == []
        await trio.sleep(0.5)
        assert rig.result("p1")["order_status"] == "FILLED"
        await trio.sleep(5)
    assert len(rig.published_results()) == 1
    assert len(rig.exchange.requests) == 1
    assert rig.exchange.queries == []


async def test_a_begin_whose_answer_is_lost_sends_nothing_and_says_so(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.store.faults.fail_next("after", method="begin_order")
        rig.open("p1")
        await trio.sleep(3)
    assert rig.exchange.requests == []
    result = rig.result("p1")
    assert (result["executed"], result["error"].split(":")[0]) == ("false", "not_sent")
    assert (rig.is_held(), rig.pending()) == (False, 0)


async def test_a_result_whose_answer_is_lost_is_published_once(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.store.faults.fail_next("after", method="record_progress")
        rig.open("p1")
        await trio.sleep(3)
    assert rig.result("p1")["executed"] == "true"
    assert rig.redis.hgetall(rig.own.counts)[b"executed_true"] == b"1"
    assert (rig.is_held(), rig.pending()) == (False, 0)


async def test_a_begin_that_took_effect_twice_late_is_known_not_to_have_been_sent(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is lost, and the second look still finds the permits, as of another server."""
    begin_order, first = rig.store.begin_order, trio.Event()

    async def late(fence: FencingToken, begin: OrderBegin) -> BeginReply:
        if first.is_set():
            await begin_order(fence, begin)
            return await begin_order(fence, begin)
        first.set()
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr(rig.store, "begin_order", late)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(3)
    assert rig.exchange.requests == []
    assert rig.result("p1")["error"].startswith("not_sent:")
    assert not rig.is_held()


@pytest.mark.parametrize("outcome", ["filled", "unknown"])
async def test_a_record_that_redis_has_lost_is_written_anew(rig: ExecutorRig, outcome: str) -> None:
    """Redis evicted it, or an operator deleted it, while its order was under way."""
    if outcome == "unknown":
        rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.01)
        for key in (rig.own.order("p1"), rig.own.open, rig.keys.permit_consumer("p1")):
            rig.redis.delete(key)
        await trio.sleep(3)
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(3)
    assert rig.result("p1")["executed"] == "true"
    assert rig.record("p1")["state"] == "final"
    assert (len(rig.exchange.requests), rig.pending(), rig.is_held()) == (1, 0, False)


async def test_an_open_order_is_taken_over_whose_plan_the_stream_has_lost(rig: ExecutorRig) -> None:
    rig.exchange.answer = rig.exchange.always(Unknown("reset"))
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(1)
    rig.redis.delete(rig.keys.hold("BTCUSDT"))
    rig.redis.delete(rig.keys.plans)
    async with running_executor(rig):
        await trio.sleep(0.1)
        assert rig.is_held()
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(0.1)
    assert rig.result("p1")["executed"] == "true"
