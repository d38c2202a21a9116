"""A role waits while another player of it is active on its stream, over the store's twin on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog
import trio
import trio.lowlevel
from structlog.testing import CapturingLogger

from actors.one_player import OnePlayer
from actors.stream_consumer import Batch, FailureCounter, StreamConsumer
from brain.identifiers import FencingToken
from channels import Lease
from clocks.clocks import Clocks
from store.memory.store import MemoryStore
from store.protocol import ConsumerGroup
from supervision import Heartbeat
from tests.actors.test_stream_consumer import Memory
from tests.virtual_time import virtual_time

pytestmark = virtual_time

STREAM = "q:stream:apply.plan"


def governors(store: MemoryStore) -> ConsumerGroup:
    group: Any = store.plans
    return replace(group, group="governor")  # type: ignore[no-any-return]


class Governor(StreamConsumer):
    """Acknowledges each entry."""

    def __init__(self, memory: Memory, *, take_over: bool) -> None:
        self.logged = CapturingLogger()
        log = structlog.wrap_logger(self.logged, [])
        group = governors(memory.store)
        super().__init__(
            group, memory.store, memory.lease, FailureCounter(),
            clocks=Clocks(memory.clock),
            log=log,
            one_player=OnePlayer(group, "Governor", take_over=take_over, log=log),
        )  # fmt: skip
        self.handled: list[str] = []

    async def handle(self, batch: Batch) -> None:
        self.handled += [(entry.fields or {})[b"plan_id"].decode() for entry in batch.entries]
        await self.group.acknowledge(batch.fence, [entry.id for entry in batch.entries])

    def warnings(self) -> list[str]:
        return [call.args[0] if call.args else call.kwargs["event"] for call in self.logged.calls
                if call.method_name == "warning"]  # fmt: skip


class Rig(Memory):
    """A Governor of this instance, and another player `gov-1234` of the same group."""

    def __init__(self, *, take_over: bool = False) -> None:
        super().__init__()
        self.role = Governor(self, take_over=take_over)
        self.heartbeat = Heartbeat()
        self.other = governors(MemoryStore(self.redis, keys=self.keys, consumer="gov-1234"))

    def publish(self, plan_id: str) -> None:
        self.redis.xadd(STREAM, {"plan_id": plan_id})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.take_lease()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.role.run, self.heartbeat)
            yield
            nursery.cancel_scope.cancel()

    def waits(self) -> list[str]:
        return [wait.what for wait in self.heartbeat.waits()]


async def test_a_role_without_another_player_reads_at_once_and_is_recorded_as_ours() -> None:
    rig = Rig()
    async with rig.running():
        await trio.sleep(0.1)
        rig.publish("plan")
        await trio.sleep(0.1)
        assert rig.role.handled == ["plan"]
        assert rig.redis.hgetall(rig.keys.players).keys() == {b"first"}


async def test_a_role_waits_by_name_until_the_other_player_has_been_idle_for_thirty_seconds() -> None:
    rig = Rig()
    await rig.other.create(lost=True)
    rig.publish("theirs")
    await rig.other.read_new(count=1, block_ms=0)
    await trio.sleep(0.3)
    async with rig.running():
        await trio.sleep(0.05)
        expected = f"another Governor works on `{STREAM}`: consumer gov-1234, idle 0.3 s"
        assert rig.waits() == [expected]
        assert rig.role.warnings() == [f"Waiting: {expected}"]
        rig.publish("ours")
        await trio.sleep(28)
        assert rig.role.handled == []
        await trio.sleep(3)
        # What it had left pending is ours now, and comes first.
        assert rig.role.handled == ["theirs", "ours"]
        assert len(rig.role.warnings()) == 1


async def test_a_player_that_asks_for_entries_and_gets_none_is_active_all_the_same() -> None:
    rig = Rig()
    await rig.other.create(lost=True)

    async def play() -> None:
        while True:
            await rig.other.read_new(count=1, block_ms=2_000)

    async with rig.running(), trio.open_nursery() as nursery:
        await rig.other.read_new(count=1, block_ms=0)
        nursery.start_soon(play)
        await trio.sleep(120.5)
        assert any("another Governor" in wait for wait in rig.waits())
        assert rig.role.handled == []
        nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()


async def test_a_player_that_acknowledges_is_active_however_long_it_did_not_ask() -> None:
    rig = Rig()
    await rig.other.create(lost=True)
    for name in "abcd":
        rig.publish(name)
    given = await rig.other.read_new(count=9, block_ms=0)
    await trio.sleep(5)
    async with rig.running():
        for entry in given[:3]:
            await trio.sleep(20)
            fence = rig.lease.value.fence if rig.lease.value else None
            assert fence is not None
            await rig.other.acknowledge(fence, [entry.id])
            await trio.sleep(1.1)
            assert any("another Governor" in wait for wait in rig.waits()), entry


async def test_a_takeover_by_the_operator_reads_beside_the_other_player_and_says_so() -> None:
    rig = Rig(take_over=True)
    await rig.other.create(lost=True)
    await rig.other.read_new(count=1, block_ms=0)
    async with rig.running():
        await trio.sleep(0.05)
        rig.publish("ours")
        await trio.sleep(0.1)
        assert rig.role.handled == ["ours"]
        (warning,) = rig.role.warnings()
        assert warning.startswith("P33_TAKE_OVER: another Governor works on")


async def test_a_former_instance_of_ours_is_not_waited_for() -> None:
    rig = Rig()
    await rig.other.create(lost=True)
    await rig.take_lease()
    fence = rig.lease.value.fence if rig.lease.value else FencingToken("")
    assert fence is not None
    await rig.other.take_part(fence)
    rig.publish("left pending")
    await rig.other.read_new(count=1, block_ms=0)
    async with rig.running():
        await trio.sleep(0.1)
        assert rig.role.handled == ["left pending"]


@pytest.mark.parametrize("lost", [True, False])
async def test_the_wait_ends_with_the_lease_and_with_a_stop(lost: bool) -> None:
    rig = Rig()
    await rig.other.create(lost=True)
    await rig.other.read_new(count=1, block_ms=0)
    async with trio.open_nursery() as nursery:
        await rig.take_lease()
        nursery.start_soon(rig.role.run, rig.heartbeat)
        await trio.sleep(1)
        if lost:
            rig.lease.send(Lease(None, "another"))
            await trio.sleep(2)
            assert rig.waits() == ["the lease, held by another"]
            nursery.cancel_scope.cancel()
        else:
            rig.heartbeat.stopping.set()
            with trio.fail_after(0.5):
                while nursery.child_tasks:  # noqa: ASYNC110 - the role's own end
                    await trio.sleep(0.01)
    assert rig.role.handled == []
    assert rig.redis.hgetall(rig.keys.players) == {}
