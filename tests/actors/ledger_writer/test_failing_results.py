"""Results that cannot be booked become dead letters, and a crash costs no other result."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import trio

from brain.identifiers import FencingToken
from brain.ledger.order_memory import decode_memory
from exchange.errors import ExchangeUnavailable
from store.errors import StoreRefusedError
from store.records import ResultCommit
from tests.actors.ledger_rig import NO_LATE_RESULTS_SEC, LedgerRig, at_rest, fail_planning_of, running_writer
from tests.background import count_crashes
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_result_that_cannot_be_booked_is_a_dead_letter(rig: LedgerRig) -> None:
    rig.redis.xadd(rig.keys.results, {"plan_id": "p", "symbol": "BTCUSDT", "executed": "True"})
    rig.redis.xadd(rig.keys.results, {"nonsense": b"\xff\xfe"})
    await trio.sleep(1)
    assert len(rig.dead()) == 2
    assert rig.pending() == 0


async def test_a_ledger_that_cannot_be_read_makes_its_results_dead_letters_and_no_others(
    rig: LedgerRig,
) -> None:
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "a lot"})
    rig.publish_result("BTCUSDT", "1", "BUY", "1")
    rig.execute("ETHUSDT", "2", "BUY", "1")
    await trio.sleep(3)
    assert len(rig.dead()) == 1
    assert rig.amount("ETHUSDT") == "-1"


async def test_a_result_is_a_dead_letter_after_three_failures_and_does_not_stop_the_rest(
    adopted: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_planning_of("poison", monkeypatch)
    await trio.sleep(NO_LATE_RESULTS_SEC)
    adopted.publish_result("BTCUSDT", "1", "BUY", "1")
    adopted.publish_result("BTCUSDT", "2", "BUY", "1", plan_id="poison")
    adopted.publish_result("BTCUSDT", "3", "BUY", "1")
    assert await count_crashes(partial(running_writer, adopted), runs=6, for_sec=3) == 3
    assert (adopted.amount("BTCUSDT"), len(adopted.dead()), adopted.pending()) == ("2", 1, 0)


async def test_a_result_that_redis_refuses_twice_for_an_unknown_reason_is_booked_in_the_end(
    adopted: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_result, refusals = adopted.store.commit_result, iter([StoreRefusedError("ERR a bug")] * 2)

    async def nothing_together(fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        return [None] * len(commits)

    async def refuse(fence: FencingToken, commit: ResultCommit) -> int | None:
        for refusal in refusals:
            raise refusal
        return await commit_result(fence, commit)

    await trio.sleep(NO_LATE_RESULTS_SEC)
    monkeypatch.setattr(adopted.store, "commit_results", nothing_together)
    monkeypatch.setattr(adopted.store, "commit_result", refuse)
    adopted.publish_result("BTCUSDT", "1", "BUY", "1")
    running = partial(running_writer, adopted)
    assert await count_crashes(running, runs=4, for_sec=3, error=StoreRefusedError) == 2
    assert (adopted.amount("BTCUSDT"), adopted.dead(), adopted.pending()) == ("1", [], 0)


@pytest.mark.parametrize("waits_for", ["a missing ledger", "the times of a fill"])
async def test_other_crashes_are_not_counted_against_a_result_that_waits_for_the_exchange(
    stopped: LedgerRig, waits_for: str
) -> None:
    async with running_writer(stopped):
        await at_rest(stopped)
        stopped.exchange.fill("ETHUSDT", "1", "BUY", "0.5")
        stopped.exchange.failure = ExchangeUnavailable("down")
        if waits_for == "a missing ledger":
            stopped.redis.delete(stopped.keys.ledger("ETHUSDT"))
            stopped.book.lose_trust(stopped.clock.now())
        stopped.publish_result("ETHUSDT", "1", "BUY", "0.5")
        await trio.sleep(2)
    crashes = 0
    for _ in range(5):
        try:
            async with running_writer(stopped):
                await trio.sleep(2)
                raise ZeroDivisionError
        except* ZeroDivisionError:
            crashes += 1
    assert crashes == 5
    stopped.exchange.failure = None
    stopped.observe("ETHUSDT")
    async with running_writer(stopped):
        await trio.sleep(5)
        assert stopped.dead() == []
        assert stopped.amount("ETHUSDT") == "-1.5"
        assert stopped.pending() == 0


async def test_results_pending_from_before_a_crash_are_booked_first(adopted: LedgerRig) -> None:
    adopted.publish_result("BTCUSDT", "1", "BUY", "1")
    adopted.exchange.fill("BTCUSDT", "1", "BUY", "1")
    assert await adopted.store.results.read_new(count=1, block_ms=1)
    async with running_writer(adopted):
        await trio.sleep(70)
        assert (adopted.amount("BTCUSDT"), adopted.pending()) == ("1", 0)


async def test_a_missing_ledger_waits_for_the_exchange_rather_than_guessing(rig: LedgerRig) -> None:
    rig.redis.delete(rig.keys.ledger("ETHUSDT"))
    rig.book.lose_trust(rig.clock.now())
    rig.exchange.fill("ETHUSDT", "1", "BUY", "0.5")
    rig.exchange.failure = ExchangeUnavailable("down")
    rig.publish_result("ETHUSDT", "1", "BUY", "0.5")
    await trio.sleep(3)
    assert rig.amount("ETHUSDT") is None
    await trio.sleep(60)
    assert rig.dead() == [], "waiting is not failing"
    rig.exchange.failure = None
    await trio.sleep(3)
    assert rig.amount("ETHUSDT") == "-1.5"


async def test_a_dead_result_says_that_its_order_is_ours(
    adopted: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is booked: the reconcile engine books what the exchange's trades prove."""
    fail_planning_of("poison", monkeypatch)
    await trio.sleep(NO_LATE_RESULTS_SEC)
    adopted.publish_result("BTCUSDT", "2", "BUY", "1", plan_id="poison")
    await count_crashes(partial(running_writer, adopted), runs=4, for_sec=3)
    assert len(adopted.dead()) == 1
    stored = adopted.redis.hgetall(adopted.keys.order_memory("BTCUSDT"))
    memory = decode_memory(stored[b"2"].decode())
    assert not memory.cumulative and not memory.closes
    assert adopted.amount("BTCUSDT") == "0"


async def test_that_of_a_close_that_was_proposed_says_so(rig: LedgerRig) -> None:
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "a lot"})
    rig.publish_result("BTCUSDT", "1", "BUY", "1", plan_id="reconclose:BTCUSDT:0123456789ab:1760000000000")
    await trio.sleep(3)
    assert len(rig.dead()) == 1
    assert rig.redis.hgetall(rig.keys.order_memory("BTCUSDT"))[b"1"].endswith(b"|close")
