"""One process at a time holds the lease, also where two were given the same instance name."""

from __future__ import annotations

from random import SystemRandom

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from actors.lease_holder import LEASE_TTL_SEC, LeaseHolder, process_name
from channels import LatestValue, Lease
from clock import TrioClock
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS
from tests.virtual_time import virtual_time

pytestmark = virtual_time

KEYS = Keys("quantum")
#: An answer that comes late, and the look after it.
SOON_SEC = 1.0


class Host:
    """A process with a lease holder, which can be started, killed, and started again as another process."""

    def __init__(self, redis: MemoryRedis, instance: str, name: str) -> None:
        self.store = MemoryStore(redis, keys=KEYS, consumer=instance)
        self.lease = LatestValue[Lease]("lease")
        self._instance = instance
        self._name = name
        self._starts = 0
        self._life = trio.CancelScope()

    @property
    def process(self) -> str:
        return f"{self._name}/{self._starts}/0"

    @property
    def holds(self) -> bool:
        return self.lease.value is not None and self.lease.value.fence is not None

    async def start(self, nursery: trio.Nursery, wait_sec: float = SOON_SEC) -> None:
        self._starts += 1
        self._life = trio.CancelScope()
        self.lease = LatestValue[Lease]("lease")
        nursery.start_soon(self._run, self.holder())
        await trio.sleep(wait_sec)

    def holder(self) -> LeaseHolder:
        return LeaseHolder(
            self.store, self.lease, instance=self._instance, process=self.process, log=structlog.get_logger()
        )

    async def _run(self, holder: LeaseHolder) -> None:
        with self._life:
            await holder.run(Heartbeat())

    def kill(self) -> None:
        self._life.cancel()


@pytest.fixture
def redis() -> MemoryRedis:
    clock = TrioClock(EPOCH_MS)
    return MemoryRedis(lambda: clock.now().wall_ms)


async def test_of_two_processes_with_one_name_the_later_holds_and_stays_and_the_other_says_so(
    redis: MemoryRedis, nursery: trio.Nursery
) -> None:
    first, second = Host(redis, "trade", "a"), Host(redis, "trade", "b")
    with capture_logs() as logs:
        await first.start(nursery)
        await second.start(nursery)
        token = redis.get(KEYS.fence)
        await trio.sleep(60)
        assert (first.holds, second.holds) == (False, True)
        assert redis.get(KEYS.fence) == token, "it was not taken in between"
        assert first.lease.value is not None and first.lease.value.namesake == "b/1/0"
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert (warning["process"], warning["taken_by"]) == ("a/1/0", "b/1/0")
    taken = [line for line in logs if "replaced" in line]
    assert [line["replaced"].partition("@")[2] for line in taken] == ["a/1/0:trade"]


async def test_a_process_that_stands_back_takes_over_once_the_other_has_ended(
    redis: MemoryRedis, nursery: trio.Nursery
) -> None:
    first, second = Host(redis, "trade", "a"), Host(redis, "trade", "b")
    await first.start(nursery)
    await second.start(nursery)
    second.kill()
    await trio.sleep(LEASE_TTL_SEC + 0.1)
    assert first.holds
    assert first.lease.value is not None and first.lease.value.namesake is None


async def test_a_restarted_process_takes_its_predecessors_lease_at_once(
    redis: MemoryRedis, nursery: trio.Nursery
) -> None:
    host = Host(redis, "trade", "a")
    await host.start(nursery)
    host.kill()
    await trio.sleep(0.1)
    await host.start(nursery, 0.01)
    assert host.holds


async def test_a_process_takes_its_own_lease_whose_answer_it_never_had(
    redis: MemoryRedis, nursery: trio.Nursery
) -> None:
    """Redis lost the lease, it was taken again, and the answer to that was lost."""
    host = Host(redis, "trade", "a")
    with capture_logs() as logs:
        await host.start(nursery)
        redis.delete(KEYS.lease)
        host.store.faults.fail_next("after", method="hold_lease")
        await trio.sleep(SOON_SEC)
        assert host.holds
    assert not [line for line in logs if "Standing back" in line["event"]]


async def test_a_holder_that_fails_and_runs_again_still_stands_back(
    redis: MemoryRedis, nursery: trio.Nursery
) -> None:
    first, second = Host(redis, "trade", "a"), Host(redis, "trade", "b")
    holder = first.holder()
    with trio.move_on_after(SOON_SEC):
        await holder.run(Heartbeat())
    await second.start(nursery, 0)
    for _ in range(3):
        with trio.move_on_after(SOON_SEC):
            await holder.run(Heartbeat())
    assert (first.holds, second.holds) == (False, True)


async def test_an_older_release_of_the_same_name_is_taken_from_and_does_not_take_back(
    redis: MemoryRedis, nursery: trio.Nursery
) -> None:
    """It reads `<token>:<instance>`, and takes for another's what it cannot read."""
    older, newer = Host(redis, "trade", ""), Host(redis, "trade", "b")
    await older.store.hold_lease("trade", None, 60_000)
    await newer.start(nursery)
    assert newer.holds
    assert (redis.get(KEYS.lease) or b"").partition(b":")[0].endswith(b"@b/1/0")


def test_a_process_name_has_neither_colon_nor_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "höst: 1")
    first, second = process_name(SystemRandom()), process_name(SystemRandom())
    assert first.startswith("h-st--1/")
    assert first != second
    assert " " not in first and ":" not in first


async def test_a_lease_whose_key_is_evicted_is_taken_again_and_says_since_when_it_is_unbroken(
    redis: MemoryRedis, nursery: trio.Nursery
) -> None:
    host = Host(redis, "first", "a")
    fences: list[str | None] = []
    await host.start(nursery, 0)
    for _ in range(3):
        await trio.sleep(SOON_SEC)
        assert host.lease.value is not None
        fences.append(host.lease.value.fence)
        since = host.lease.value.since
        assert redis.evict(KEYS.lease)
    assert len(set(fences)) == 3
    assert since == fences[0]
    redis.evict(KEYS.fence)
    await trio.sleep(SOON_SEC)
    assert host.lease.value is not None and host.lease.value.since is None
