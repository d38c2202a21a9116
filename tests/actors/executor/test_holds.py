"""Holds of undecided orders, which stand until the record says more."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from brain.execution.orders import Unknown
from brain.identifiers import FencingToken
from store.errors import StoreRefusedError
from store.execution_records import ExecutionHold, OrderProgress
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time

UNKNOWN = Unknown("reset")


def sig(rig: ExecutorRig) -> bytes | None:
    return rig.redis.get(rig.own.hold_sig("BTCUSDT"))


async def test_an_order_whose_result_cannot_be_written_keeps_its_reservation(rig: ExecutorRig) -> None:
    rig.exchange.latency_sec = 1.0
    reservation = f"BOTH|open|BUY|0.5|{rig.clock.now().wall_ms + 90_000}"
    rig.redis.hset(rig.keys.open_permits("BTCUSDT"), {"v": "1", "p:p1": reservation})
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.5)
        rig.redis.set(rig.keys.results, "of a wrong type")
        await trio.sleep(400)
        kept = rig.redis.hgetall(rig.keys.open_permits("BTCUSDT"))[b"p:p1"].decode()
        assert int(kept.rpartition("|")[2]) > rig.clock.now().wall_ms + 90_000
        rig.redis.delete(rig.keys.results)
        await trio.sleep(1)
    assert rig.result("p1")["executed"] == "true"


async def test_a_hold_stands_until_the_result_of_its_order_is_written(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full Redis lets keys be deleted and refuses what would grow."""
    rig.exchange.answer = rig.exchange.always(UNKNOWN)

    async def full(_fence: FencingToken, _progress: OrderProgress) -> bool:
        raise StoreRefusedError("OOM command not allowed")

    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(1)
        with monkeypatch.context() as filled:
            filled.setattr(rig.store, "record_progress", full)
            rig.observe(rig.exchange.state(rig.exchange.requests[0]))
            for _ in range(400):
                await trio.sleep(1)
                assert rig.is_held()
        await trio.sleep(3)
        assert rig.result("p1")["executed"] == "true"
        assert not rig.is_held() and sig(rig) is None


async def test_an_audit_that_cannot_be_written_keeps_no_symbol_from_being_held(rig: ExecutorRig) -> None:
    rig.exchange.latency_sec = 1.0
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.5)
        rig.redis.set(rig.own.audit, "of a wrong type")
        await trio.sleep(1)
        for _ in range(400):
            assert rig.is_held()
            await trio.sleep(1)
        rig.redis.delete(rig.own.audit)
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1)
    assert rig.result("p1")["executed"] == "true"


@pytest.mark.parametrize("lost", ["hold", "everything"])
async def test_a_hold_that_redis_has_lost_stands_again_soon(rig: ExecutorRig, lost: str) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(20)
        if lost == "hold":
            rig.redis.delete(rig.keys.hold("BTCUSDT"))
        else:
            rig.redis.flushall()
            await rig.take_lease()
        await trio.sleep(2.5)
        assert rig.is_held() and sig(rig) == f"exec:{rig.client_id('p1')}".encode()


async def test_a_session_that_begins_holds_what_is_undecided_before_it_reads_a_plan(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(20)
        read_new, held = rig.store.executions.read_new, []

        async def noted(*arguments: object, **named: object) -> object:
            held.append(rig.is_held())
            return await read_new(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(rig.store.executions, "read_new", noted)
        rig.redis.delete(rig.keys.lease)
        rig.redis.delete(rig.keys.hold("BTCUSDT"))
        await rig.take_lease()
        await trio.sleep(3)
    assert held and all(held[1:])


async def test_the_hold_of_one_order_passes_to_another_that_is_undecided(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "1")
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(1)
        rig.permit_close("p2", 0.4, reason="reconcile_close_bypass")
        rig.publish_close("p2", decision="RECONCILE_CLOSE", side="SELL", qty="0.4", source="p3.4")
        await trio.sleep(1)
        first, second = rig.exchange.requests
        rig.observe(rig.exchange.state(first))
        await trio.testing.wait_all_tasks_blocked()
        assert rig.is_held() and sig(rig) == f"exec:{rig.client_id('p2')}".encode()
        assert rig.result("p1")["executed"] == "true"
        for _ in range(330):
            await trio.sleep(1)
            assert rig.is_held()
        rig.observe(rig.exchange.state(second))
        await trio.sleep(0.1)
        assert rig.result("p2")["executed"] == "true"
        assert not rig.is_held()


async def test_an_order_is_followed_when_its_session_ends_before_the_hold_stands(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.01)
    rig.redis.delete(rig.own.open)
    hold_symbol, asked = rig.store.hold_symbol, trio.Event()

    async def slow(fence: FencingToken, hold: ExecutionHold) -> bool:
        if not asked.is_set():
            asked.set()
            await trio.sleep_forever()
        return await hold_symbol(fence, hold)

    monkeypatch.setattr(rig.store, "hold_symbol", slow)
    async with running_executor(rig):
        await asked.wait()
        rig.store.faults.fail_next("before", method="look_at_permits")
        rig.publish("p2", "ETHUSDT")
        await trio.sleep(5)
        assert rig.is_held()
        rig.observe(rig.exchange.state(rig.exchange.requests[0]))
        await trio.sleep(1)
        assert rig.result("p1")["executed"] == "true"
