"""A role of a few lines on `StreamConsumer`: every entry is handled, and one that raises does not stop it."""

from __future__ import annotations

import pytest
import structlog
import trio

from actors.stream_consumer import MOST_FAILURES, Batch, FailureCounter, StreamConsumer
from brain.identifiers import EntryId
from channels import LatestValue, Lease
from clock import TrioClock
from clocks.clocks import Clocks
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.records import Entry
from supervision import Heartbeat
from tests.virtual_time import virtual_time

pytestmark = virtual_time


class Memory:
    """Redis's twin on virtual time, with its lease."""

    def __init__(self) -> None:
        self.clock = TrioClock(1_760_000_000_000)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.keys = Keys("q")
        self.store = MemoryStore(self.redis, keys=self.keys, consumer="first")
        self.lease: LatestValue[Lease] = LatestValue("lease")

    async def take_lease(self) -> None:
        self.lease.send(Lease((await self.store.hold_lease("me", None, 600_000)).fence, "me"))

    def deliveries(self) -> list[int]:
        return [deliveries for _, _, deliveries in self.redis.xpending(self.keys.plans, "p33").values()]


@pytest.fixture
async def memory() -> Memory:
    memory = Memory()
    await memory.take_lease()
    return memory


class Counting(StreamConsumer):
    """Counts attempts by the entry's name; an entry named `raises` raises."""

    def __init__(self, memory: Memory, failures: FailureCounter) -> None:
        super().__init__(
            memory.store.plans, memory.store, memory.lease, failures,
            clocks=Clocks(memory.clock),
            log=structlog.get_logger(),
        )  # fmt: skip
        self.attempts: list[str] = []
        self.batches: list[int] = []
        self.ages_ms: list[int] = []
        self._now_ms = memory.redis.now_ms

    async def handle(self, batch: Batch) -> None:
        self.batches.append(len(batch.entries))
        for entry in batch.entries:
            self.ages_ms.append(self._now_ms() - (entry.published_ms or 0))
            name = (entry.fields or {})[b"name"].decode()
            if self.failures.of(entry.id) >= MOST_FAILURES:
                await self.group.dead_letter(batch.fence, entry.id, ("name", name))
            else:
                with self.failures.attributed_to((entry.id,)):
                    self.attempts.append(name)
                    if name == "raises":
                        raise ZeroDivisionError
                    if name == "waits":
                        await trio.sleep(5)
                    await self.group.acknowledge(batch.fence, [entry.id])
            self.failures.done(entry.id)


async def test_an_entry_that_raises_is_a_dead_letter_after_three_failures_and_the_others_are_handled(
    memory: Memory,
) -> None:
    failures = FailureCounter()
    crashes = 0
    with trio.move_on_after(60):
        while True:
            consumer = Counting(memory, failures)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(consumer.run, Heartbeat())
                    await trio.sleep(1)
                    if crashes == 0:
                        for name in ("before", "raises", "after"):
                            memory.redis.xadd(memory.keys.plans, {"name": name})
            except* ZeroDivisionError:
                crashes += 1
    assert crashes == MOST_FAILURES
    ((_, letter),) = memory.redis.xrange(memory.keys.dead_plans)
    assert letter == {b"name": b"raises"}
    assert consumer.attempts == ["after"]
    assert memory.deliveries() == []


async def test_an_entry_in_hand_is_handled_once_and_finished_when_a_stop_comes(memory: Memory) -> None:
    """It is idle for longer than entries left pending are, and is not delivered again for that."""
    consumer, heartbeat = Counting(memory, FailureCounter()), Heartbeat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer.run, heartbeat)
        await trio.sleep(1)
        memory.redis.xadd(memory.keys.plans, {"name": "waits"})
        await trio.sleep(4)
        assert memory.deliveries() == [1]
        heartbeat.stopping.set()
    assert consumer.attempts == ["waits"]
    assert memory.deliveries() == []


async def test_an_entry_that_failed_and_was_acknowledged_elsewhere_is_no_failure_any_more(
    memory: Memory,
) -> None:
    """Or it would be remembered until the process ends."""
    failures = FailureCounter()
    await memory.store.plans.create(lost=False)
    entry_id = memory.redis.xadd(memory.keys.plans, {"name": "raises"})
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await Counting(memory, failures).run(Heartbeat())
    assert failures.of(EntryId(entry_id)) == 1
    lease = memory.lease.value
    assert lease is not None and lease.fence is not None
    await memory.store.plans.acknowledge(lease.fence, [entry_id])
    with trio.move_on_after(1):
        await Counting(memory, failures).run(Heartbeat())
    assert failures.of(EntryId(entry_id)) == 0


async def test_recovered_entries_are_handled_together_but_for_those_that_have_failed(memory: Memory) -> None:
    """Far from Redis each batch takes two round trips, and many entries may be in hand."""
    failures = FailureCounter()
    await memory.store.plans.create(lost=False)
    ids = [memory.redis.xadd(memory.keys.plans, {"name": f"n{number}"}) for number in range(150)]
    dead = MemoryStore(memory.redis, keys=memory.keys, consumer="dead")
    await dead.plans.read_new(count=150, block_ms=0)
    for failed in (ids[0], ids[80], ids[81]):
        with pytest.raises(ZeroDivisionError), failures.attributed_to((EntryId(failed),)):
            raise ZeroDivisionError
    consumer = Counting(memory, failures)
    with trio.move_on_after(1):
        await consumer.run(Heartbeat())
    assert consumer.batches == [1, 63, 16, 1, 1, 46, 22]
    assert consumer.attempts == [f"n{number}" for number in range(150)]
    assert memory.deliveries() == []


async def test_the_first_answer_after_an_outage_can_be_held_up_too(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry whose id is ahead of Redis's clock may have come while it was under way."""
    consumer = Counting(memory, FailureCounter())
    read_new, held_up = consumer.group.read_new, trio.Event()

    async def read_late(*, count: int, block_ms: int) -> list[Entry]:
        entries = await read_new(count=count, block_ms=block_ms)
        if ended and not held_up.is_set():
            held_up.set()
            ahead_ms = memory.redis.now_ms() + 3_600_000
            memory.redis.xadd(memory.keys.plans, {"name": "ahead"}, entry_id=f"{ahead_ms}-0")
            await trio.sleep(2)
        return entries

    monkeypatch.setattr(consumer.group, "read_new", read_late)
    ended = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer.run, Heartbeat())
        await trio.sleep(5)
        with memory.store.faults.outage():
            await trio.sleep(3)
        ended = True
        await trio.sleep(4)
        nursery.cancel_scope.cancel()
    assert consumer.attempts == ["ahead"]
    assert consumer.ages_ms[0] >= 2_000
