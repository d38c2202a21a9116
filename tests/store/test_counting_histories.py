"""P1 over random histories of deliveries, losses and kills, on the twin and on every redis-server alike."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from brain.identifiers import EntryId, FencingToken
from store.errors import FencedError, GroupLostError
from store.intelligence_records import CountedResult
from tests.store.backends import Backend, MemoryBackend, RedisBackend, pending
from tests.store.intelligence_examples import NAMES

STREAM, GROUP = NAMES.results.key, NAMES.results.group
#: A few in the suite; more with P33_TEST_COUNTING_HISTORIES=200.
SEEDS = range(int(os.environ.get("P33_TEST_COUNTING_HISTORIES", "6")))
STEPS = 150
_DECISIONS = ("EXECUTE", "BLOCKED", "SKIP", "UNKNOWN:HOLD")


class CountingHistory:
    """One backend's way through a history. The same seed draws the same steps on every backend.

    A process knows the entries that it was given and has not counted. A kill loses them; Redis has them
    pending. `counted` are the ids that the store said it counted, by minute.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self._backend = backend
        self._out = backend.outside
        self._store = backend.store
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._minutes: dict[EntryId, str] = {}
        self._held: list[EntryId] = []
        #: Trimmed while they were pending; with the group nothing is left of them.
        self._trimmed: set[EntryId] = set()
        self._gone: set[EntryId] = set()
        self.counted: list[EntryId] = []
        self._steps: list[Callable[[], Awaitable[object]]] = [
            self._publish, self._publish, self._read, self._read, self._count, self._count, self._count,
            self._count_again, self._recover, self._kill, self._lose_group, self._set_back, self._fence,
            self._trim, self._forget,
        ]  # fmt: skip

    async def begin(self) -> None:
        """Create the group: what comes from now on counts."""
        await self._store.counted_results.create(lost=False)

    async def step(self) -> str:
        """Take the next step; return its outcome without ids."""
        await self._backend.pass_ms(1)
        act = self._random.choice(self._steps)
        try:
            outcome = await act()
        except GroupLostError:
            self._held.clear()
            outcome = "group lost"
            await self._store.counted_results.create(lost=True)
        return f"{act.__name__}: {outcome}"

    async def end(self) -> None:
        """A last process deals with all that is left."""
        self._held.clear()
        await self._store.counted_results.create(lost=True)
        await self._recover()
        await self._count_all()
        while await self._read():
            await self._count_all()

    def published(self) -> Counter[str]:
        """Count the results of each minute, less those of which nothing was left to count."""
        return Counter(minute for each, minute in self._minutes.items() if each not in self._gone)

    def by_minute(self) -> Counter[str]:
        """Count by minute the results that the store said it counted."""
        return Counter(self._minutes[each] for each in self.counted)

    def stored(self, kind: str) -> Counter[str]:
        """Add up the counts of one kind in each bucket."""
        totals = Counter[str]()
        for minute in set(self._minutes.values()):
            fields = self._out.hgetall(NAMES.bucket(minute))
            totals[minute] = sum(
                int(count) for field, count in fields.items() if field.startswith(f"{kind}:".encode())
            )
        return +totals

    async def _publish(self) -> int:
        count = self._random.randint(1, 6)
        for number in range(count):
            await self._backend.pass_ms(1)
            entry_id = self._out.xadd(STREAM, {"plan_id": str(number)})
            self._minutes[entry_id] = f"20251129{self._random.randint(0, 3):04}"
        return count

    async def _read(self) -> int:
        entries = await self._store.counted_results.read_new(count=self._random.randint(1, 9), block_ms=0)
        self._held += [each.id for each in entries]
        return len(entries)

    async def _recover(self) -> int:
        entries = []
        after = "0"
        while some := await self._store.counted_results.recover(
            fence=self._backend.fence, after=after, idle_ms=0, count=64
        ):
            after = some[-1].id
            entries += [each.id for each in some]
        self._held += [each for each in entries if each not in self._held]
        return len(entries)

    async def _count(self) -> list[bool]:
        self._random.shuffle(self._held)
        some = self._held[: self._random.randint(0, 5)]
        counted = await self._send(some)
        if self._random.random() < 0.8:  # else the answer is lost, and they are sent again
            del self._held[: len(some)]
        return counted

    async def _count_all(self) -> None:
        await self._send(self._held)
        self._held.clear()

    async def _count_again(self) -> list[bool]:
        """Late: by a process that was stopped behind its read, or twice in one call."""
        known = list(self._minutes)
        some = self._random.choices(known, k=min(len(known), 4)) if known else []
        return await self._send(some + some[:1])

    async def _send(self, ids: list[EntryId]) -> list[bool]:
        results = [
            CountedResult(
                each, self._minutes[each], self._random.choice(_DECISIONS), f"r{self._random.randint(0, 3)}",
                "p33", "BTCUSDT",
            )
            for each in ids
        ]  # fmt: skip
        counted = await self._store.count_results(self._backend.fence, results)
        self.counted += [each for each, new in zip(ids, counted, strict=True) if new]
        return counted

    async def _kill(self) -> int:
        lost = len(self._held)
        self._held.clear()
        return lost

    async def _lose_group(self) -> str:
        if self._random.random() < 0.5:
            return "kept"
        self._destroy_group()
        return "lost"

    def _destroy_group(self) -> None:
        self._out.xgroup_destroy(STREAM, GROUP)
        self._gone |= self._trimmed - set(self.counted)

    async def _set_back(self) -> str:
        """An operator deletes the group, and creates it at the start."""
        if self._random.random() < 0.7:
            return "kept"
        kept = self._out.get(NAMES.results.last_id)
        self._out.delete(NAMES.results.last_id)
        self._destroy_group()
        await self._store.counted_results.create(lost=True)
        if kept is not None:
            self._out.set(NAMES.results.last_id, kept)
        self._held.clear()
        return "set back"

    async def _fence(self) -> str:
        """A process that has lost the lease sends what it has."""
        if not self._held:
            return "nothing"
        result = CountedResult(self._held[0], self._minutes[self._held[0]], "SKIP", "late")
        with pytest.raises(FencedError):
            await self._store.count_results(FencingToken("17:another"), [result])
        return "fenced"

    async def _trim(self) -> str:
        """A pending entry is trimmed: its id is all that is left of it."""
        if not self._held:
            return "nothing"
        trimmed = self._held[0]
        self._out.xdel(STREAM, trimmed)
        self._trimmed.add(trimmed)
        if trimmed not in pending(self._out, STREAM, GROUP) and trimmed not in self.counted:
            self._gone.add(trimmed)
        return "trimmed"

    async def _forget(self) -> str:
        """Windows are written in between."""
        left = await self._store.write_windows(self._backend.fence, [], unknown=[], status={})
        return f"{left} pending"


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_result_counts_once_in_its_minute_whatever_becomes_of_readers_and_group(
    leased: Backend, seed: int
) -> None:
    history = CountingHistory(leased, seed)
    await history.begin()
    for _ in range(STEPS):
        await history.step()
        assert len(history.counted) == len(set(history.counted))
        assert history.stored("decision") == history.by_minute() == history.stored("reason")
    await history.end()
    assert history.stored("decision") == history.published()
    assert history.stored("symbol_reason") == history.stored("gate") == history.published()
    assert leased.outside.xpending(STREAM, GROUP) == {}
    total = sum(history.published().values())
    assert leased.outside.hgetall(NAMES.status)[b"processed_total"] == str(total).encode()


@pytest.mark.parametrize("seed", SEEDS[:2])
async def test_the_twin_goes_the_same_way_as_each_redis(real: RedisBackend, seed: int) -> None:
    twin = MemoryBackend()
    histories = [CountingHistory(twin, seed), CountingHistory(real, seed)]
    for backend, history in zip((twin, real), histories, strict=True):
        await backend.take_lease()
        await history.begin()
    for _ in range(STEPS):
        ours, theirs = [await history.step() for history in histories]
        assert ours == theirs
    assert histories[0].stored("decision") == histories[1].stored("decision")
