"""Counts of the executor in Redis."""

from __future__ import annotations

import pytest
import trio

from store.execution_records import OpenOrders
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_counts_are_written_for_their_readers(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1")
        rig.publish("p2", decision="SKIP")
        rig.publish("p3", source="elsewhere")
        await trio.sleep(3)
    counts = rig.redis.hgetall(rig.own.counts)
    assert counts == {
        b"processed": b"3", b"executed_true": b"1", b"executed_false": b"2",
        b"p35_guard_blocked": b"1", b"blocked_source": b"1",
    }  # fmt: skip


@pytest.mark.parametrize("fault", ["wrong type", "missing right", "outage"])
async def test_counts_that_cannot_be_written_end_no_session_and_are_not_lost(
    rig: ExecutorRig, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = 0
    open_orders = rig.store.open_orders

    async def counted() -> OpenOrders:
        nonlocal sessions
        sessions += 1
        return await open_orders()

    monkeypatch.setattr(rig.store, "open_orders", counted)
    match fault:
        case "wrong type":
            rig.redis.set(rig.own.counts, "junk")
        case "missing right":
            rig.store.faults.forbid("write_counts")
        case _:
            rig.store.faults.fail_next("before", method="write_counts")
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(5)
        if fault == "wrong type":
            rig.redis.delete(rig.own.counts)
        rig.store.faults.permit("write_counts")
        await trio.sleep(2)
    assert rig.redis.hgetall(rig.own.counts) == {b"processed": b"1", b"executed_true": b"1"}
    assert sessions == (2 if fault == "outage" else 1)
