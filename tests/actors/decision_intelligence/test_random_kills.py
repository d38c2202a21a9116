"""P1 with the actor itself: kills, failing calls, lost answers and lost groups at random, on virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

import pytest
import trio

from brain.intelligence.windows import WINDOWS, minute_of, minutes_until
from store.memory.faults import Effect
from tests.actors.intelligence_rig import GROUP, STREAM, IntelligenceRig, running
from tests.virtual_time import virtual_time

pytestmark = virtual_time

LIVES = 12
METHODS = (
    "count_results", "write_windows", "intelligence_buckets", "counted_results.read_new",
    "counted_results.recover", "counted_results.create", "redis_now_ms",
)  # fmt: skip
EFFECTS: tuple[Effect, ...] = ("before", "after")


class Executors:
    """Publish at random moments; `by_minute` counts what they have published."""

    def __init__(self, rig: IntelligenceRig, random: Random) -> None:
        self._rig = rig
        self._random = random
        self.by_minute = Counter[str]()

    async def publish(self) -> None:
        """Publish until cancelled."""
        rig, random = self._rig, self._random
        while True:
            await trio.sleep(random.expovariate(20.0))
            draw = random.choice((rig.executed, rig.denied, lambda: rig.publish(decision="HOLD")))
            self.by_minute[minute_of(int(draw().partition("-")[0]))] += 1


async def live(rig: IntelligenceRig, random: Random) -> None:
    """Let an incarnation work, with what may go wrong around it, until it is killed at any moment."""
    async with running(rig):
        for _ in range(random.randint(1, 6)):
            await trio.sleep(random.uniform(0.0, 4.0))
            fault = random.random()
            if fault < 0.5:
                rig.redis.faults.fail_next(
                    random.choice(EFFECTS), method=random.choice(METHODS), count=random.randint(1, 3)
                )
            elif fault < 0.6:
                rig.redis.xgroup_destroy(STREAM, GROUP)
            elif fault < 0.7:
                with rig.redis.faults.outage(random.choice(EFFECTS)):
                    await trio.sleep(random.uniform(0.0, 3.0))


@pytest.mark.parametrize("seed", range(8))
async def test_each_minute_has_all_of_its_results_once_after_random_kills(seed: int) -> None:
    rig, random = IntelligenceRig(), Random(seed)  # noqa: S311 - not for secrets
    await rig.store.counted_results.create(lost=False)
    executors = Executors(rig, random)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executors.publish)
        for _ in range(LIVES):
            await live(rig, random)
            await trio.sleep(random.uniform(0.0, 2.0))
        nursery.cancel_scope.cancel()
    rig.redis.faults.forget()
    assert sum(executors.by_minute.values()) > 100
    async with running(rig):
        await trio.sleep(12)
        assert Counter(rig.by_minute("decision")) == executors.by_minute
        assert rig.by_minute("reason") == rig.by_minute("symbol_reason") == rig.by_minute("decision")
        assert rig.redis.xpending(STREAM, GROUP) == {}
        latest = minutes_until(rig.clock.now().wall_ms)
        for name, count in WINDOWS.items():
            expected = sum(executors.by_minute[minute] for minute in latest[:count])
            assert sum(rig.decisions(name).values()) == expected


async def test_a_slow_redis_is_no_stall_while_the_buckets_of_an_hour_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = IntelligenceRig()
    read = rig.store.intelligence_buckets

    async def slowly(minutes: Sequence[str]) -> list[Mapping[bytes, bytes]]:
        await trio.sleep(0.9)
        return await read(minutes)

    monkeypatch.setattr(rig.store, "intelligence_buckets", slowly)
    oldest_sec = 0.0
    async with running(rig) as heartbeat:
        for _ in range(30):
            await trio.sleep(1)
            if (beat_sec := heartbeat.oldest_beat_at_work_sec()) is not None:
                oldest_sec = max(oldest_sec, trio.current_time() - beat_sec)
    assert 0 < oldest_sec < 2
