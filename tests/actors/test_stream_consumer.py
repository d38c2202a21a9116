"""A role of a few lines on `StreamConsumer`: every entry is handled, and one that raises does not stop it."""

from __future__ import annotations

import structlog
import trio

from actors.stream_consumer import MOST_FAILURES, Batch, FailureCounter, StreamConsumer
from channels import LatestValue, Lease
from clock import TrioClock
from clocks.clocks import Clocks
from supervision import Heartbeat
from tests.store.backends import MemoryBackend
from tests.virtual_time import virtual_time

pytestmark = virtual_time


class Counting(StreamConsumer):
    """Counts attempts by the entry's name; an entry named `raises` raises."""

    def __init__(self, memory: MemoryBackend, lease: LatestValue[Lease], failures: FailureCounter) -> None:
        super().__init__(
            memory.store.plans, memory.store, lease, failures,
            clocks=Clocks(TrioClock(memory.redis.now_ms())),
            log=structlog.get_logger(),
        )  # fmt: skip
        self.attempts: list[str] = []

    async def handle(self, batch: Batch) -> None:
        for entry in batch.entries:
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


async def test_an_entry_that_raises_is_a_dead_letter_after_three_failures_and_the_others_are_handled() -> (
    None
):
    memory, failures = MemoryBackend(), FailureCounter()
    lease: LatestValue[Lease] = LatestValue("lease")
    lease.send(Lease((await memory.store.hold_lease("me", None, 600_000)).fence, "me"))
    crashes = 0
    with trio.move_on_after(60):
        while True:
            consumer = Counting(memory, lease, failures)
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
    assert memory.redis.xpending(memory.keys.plans, "p33") == {}


async def test_an_entry_in_hand_is_handled_once_and_finished_when_a_stop_comes() -> None:
    """The sweep finds it idle each second while it waits for 5 s."""
    memory = MemoryBackend()
    lease: LatestValue[Lease] = LatestValue("lease")
    lease.send(Lease((await memory.store.hold_lease("me", None, 600_000)).fence, "me"))
    consumer, heartbeat = Counting(memory, lease, FailureCounter()), Heartbeat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer.run, heartbeat)
        await trio.sleep(1)
        memory.redis.xadd(memory.keys.plans, {"name": "waits"})
        await trio.sleep(4)
        heartbeat.stopping.set()
    assert consumer.attempts == ["waits"]
    assert memory.redis.xpending(memory.keys.plans, "p33") == {}
