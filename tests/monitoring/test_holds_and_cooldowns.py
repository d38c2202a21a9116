from __future__ import annotations

import pytest
import trio
import trio.testing

from clock import TrioClock
from monitoring.holds_and_cooldowns import HoldsAndCooldownsCache
from page.content import TimeLeft
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from tests.virtual_time import virtual_time

pytestmark = virtual_time

NOW_MS = 1_790_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Rig:
    """A reading of the twin, on virtual time."""

    def __init__(self) -> None:
        self.clock = TrioClock(NOW_MS)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.keys = Keys("quantum")
        self.store = MemoryStore(self.redis, keys=self.keys, consumer="me")
        self.reading = HoldsAndCooldownsCache(self.store, self.clock, 15.0, keys=self.keys)

    def executed(self, symbol: str, ago_sec: float) -> None:
        self.redis.set(self.keys.cooldown(symbol), str(self.clock.now().wall_ms - round(ago_sec * 1000)))

    def booked(self, symbol: str, ago_sec: float) -> None:
        at_sec = self.clock.now().wall_ms / 1000 - ago_sec
        self.redis.hset(
            self.keys.ledger(symbol), {"last_known_amt": "1", "last_order_time_epoch": f"{at_sec:.3f}"}
        )


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_holds_run_out_between_two_reads(rig: Rig) -> None:
    rig.redis.set(rig.keys.hold("BTCUSDT"), "drift", ttl_ms=2_000)
    rig.redis.set(rig.keys.hold("ETHUSDT"), "drift")
    assert (await rig.reading.now(SYMBOLS, {})).holds == (TimeLeft("BTCUSDT", 2.0), TimeLeft("ETHUSDT", None))
    await trio.sleep(1.5)
    assert (await rig.reading.now(SYMBOLS, {})).holds[0] == TimeLeft("BTCUSDT", 0.5)
    await trio.sleep(1)
    assert (await rig.reading.now(SYMBOLS, {})).holds == (TimeLeft("ETHUSDT", None),)


async def test_a_cooldown_counts_from_the_key(rig: Rig) -> None:
    rig.executed("BTCUSDT", 5.0)
    rig.executed("ETHUSDT", 16.0)
    rig.executed("SOLUSDT", 10.0)
    assert (await rig.reading.now(SYMBOLS, {})).cooldowns == (
        TimeLeft("BTCUSDT", 10.0),
        TimeLeft("SOLUSDT", 5.0),
    )


async def test_a_cooldown_counts_from_a_ledger_that_was_booked_recently(rig: Rig) -> None:
    rig.booked("BTCUSDT", 4.0)
    assert (await rig.reading.now(SYMBOLS, {})).cooldowns == ()
    await trio.sleep(4)
    assert (await rig.reading.now(SYMBOLS, {"BTCUSDT": 1.0})).cooldowns == (TimeLeft("BTCUSDT", 7.0),)
    await trio.sleep(4)
    assert (await rig.reading.now(SYMBOLS, {"BTCUSDT": 1.0})).cooldowns == (TimeLeft("BTCUSDT", 3.0),)
    await trio.sleep(4)
    assert (await rig.reading.now(SYMBOLS, {"BTCUSDT": 1.0})).cooldowns == ()


async def test_the_later_of_key_and_ledger_counts(rig: Rig) -> None:
    rig.executed("BTCUSDT", 12.0)
    rig.booked("BTCUSDT", 2.0)
    (seen,) = (await rig.reading.now(SYMBOLS, {"BTCUSDT": 1.0})).cooldowns
    assert seen == TimeLeft("BTCUSDT", 13.0)


async def test_a_time_far_ahead_is_ignored_and_an_unreadable_one_never_ends(rig: Rig) -> None:
    rig.executed("BTCUSDT", -16.0)
    rig.redis.set(rig.keys.cooldown("ETHUSDT"), "soon")
    assert (await rig.reading.now(SYMBOLS, {})).cooldowns == (TimeLeft("ETHUSDT", None),)


async def test_redis_is_asked_once_in_three_seconds_however_many_look(rig: Rig) -> None:
    await rig.reading.now(SYMBOLS, {})
    rig.redis.set(rig.keys.hold("BTCUSDT"), "drift")
    for _ in range(20):
        await trio.sleep(0.1)
        assert (await rig.reading.now(SYMBOLS, {})).holds == ()
    await trio.sleep(1.1)
    assert (await rig.reading.now(SYMBOLS, {})).holds == (TimeLeft("BTCUSDT", None),)


async def test_an_unread_key_is_reported_and_not_remembered(rig: Rig) -> None:
    rig.redis.set(rig.keys.hold("BTCUSDT"), "drift")
    await rig.reading.now(SYMBOLS, {})
    await trio.sleep(3)
    with rig.store.faults.outage():
        seen = await rig.reading.now(SYMBOLS, {})
    assert (seen.holds, seen.cooldowns) == ((), ())
    assert seen.unread is not None and seen.unread.startswith("Redis: ")
    await trio.sleep(3)
    assert (await rig.reading.now(SYMBOLS, {})).unread is None


async def test_a_redis_that_does_not_answer_is_not_waited_for(rig: Rig) -> None:
    rig.store = MemoryStore(rig.redis, keys=rig.keys, consumer="me", crossing=trio.sleep_forever)
    reading = HoldsAndCooldownsCache(rig.store, rig.clock, 15.0, keys=rig.keys)
    with trio.fail_after(1):
        assert (await reading.now(SYMBOLS, {})).unread == "Redis did not answer within 0.5 s"


async def test_keys_that_deny_for_good_are_named_with_what_is_wrong(rig: Rig) -> None:
    rig.redis.hset(rig.keys.hold("BTCUSDT"), {"a": "b"})
    rig.redis.hset(rig.keys.cooldown("BTCUSDT"), {"a": "b"})
    rig.redis.set(rig.keys.cooldown("ETHUSDT"), "")
    rig.redis.set(rig.keys.cooldown("SOLUSDT"), "soon")
    seen = await rig.reading.now(SYMBOLS, {})
    cooldown, fix = "quantum:cooldown:last_exec_ts", "its plans are denied; delete it, or set it to epoch ms"
    assert seen.problems == (
        "quantum:reconcile:hold:BTCUSDT holds a hash, not a string: its plans are denied; delete it",
        f"{cooldown}:BTCUSDT holds a hash, not a string: {fix}",
        f"{cooldown}:ETHUSDT is empty: {fix}",
        f"{cooldown}:SOLUSDT holds 'soon', which is no number: {fix}",
    )
    assert seen.holds == (TimeLeft("BTCUSDT", None),)
    assert seen.cooldowns == tuple(TimeLeft(symbol, None) for symbol in SYMBOLS)
    rig.redis.delete(rig.keys.hold("BTCUSDT"))
    for symbol in SYMBOLS:
        rig.redis.delete(rig.keys.cooldown(symbol))
        rig.executed(symbol, 20.0)
    await trio.sleep(3)
    seen = await rig.reading.now(SYMBOLS, {})
    assert (seen.problems, seen.holds, seen.cooldowns) == ((), (), ())
