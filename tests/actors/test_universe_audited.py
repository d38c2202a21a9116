"""The universe publisher records each judgement that differs from the last, with its complete input."""

from __future__ import annotations

import trio

from brain.symbols.publication import Outcome
from brain.symbols.record import judge_universe_again
from exchange.errors import ExchangeUnavailable
from tests.actors.universe_rig import NAMES, SHADOW, Rig, names
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def outcomes(rig: Rig, key: str = NAMES.audit) -> list[str]:
    """Return the recorded outcomes; each is judged identically again."""
    found = []
    for _, fields in rig.redis.xrange(key):
        again = judge_universe_again(fields[b"record"])
        assert again.identical
        assert again.recorded.outcome == fields[b"outcome"].decode()
        found.append(again.recorded.outcome.value)
    return found


async def test_the_first_judgement_is_recorded_and_those_that_repeat_it_are_not() -> None:
    rig = Rig()
    async with rig.running():
        await trio.sleep(300)
        assert outcomes(rig) == [Outcome.PUBLISHED]
        [(_, fields)] = rig.redis.xrange(NAMES.audit)
        assert (fields[b"count"], fields[b"issued_by"], fields.get(b"mode")) == (b"10", b"me", None)


async def test_another_list_a_failure_and_the_recovery_are_recorded_once_each() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.trading = names(11)
        await trio.sleep(70)
        rig.exchange.failure = ExchangeUnavailable("no answer")
        await trio.sleep(300)
        rig.exchange.failure = None
        await trio.sleep(120)
        published, failed = Outcome.PUBLISHED, Outcome.FETCH_FAILED
        assert outcomes(rig) == [published, published, failed, published]


async def test_a_list_that_shrank_is_replayed_with_the_reads_before_it() -> None:
    rig = Rig()
    async with rig.running():
        rig.exchange.trading = names(3)
        await trio.sleep(240)
        assert outcomes(rig) == [Outcome.PUBLISHED, Outcome.SHRANK, Outcome.PUBLISHED]


async def test_the_shadow_records_under_its_own_name() -> None:
    rig = Rig(universe="shadow")
    async with rig.running():
        assert outcomes(rig, SHADOW.audit) == [Outcome.PUBLISHED]
        [(_, fields)] = rig.redis.xrange(SHADOW.audit)
        assert fields[b"mode"] == b"shadow" and rig.redis.xrange(NAMES.audit) == []
