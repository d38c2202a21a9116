"""The next plans are decided while decisions are written; one symbol's plans stay in order."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.permit_evaluator.symbol_locks import SymbolLocks
from store.records import DecisionCommit
from supervision import Heartbeat
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator

SLOW_SEC = 0.3


def slow_commits_of(rig: EvaluatorRig, symbol: str) -> list[list[str]]:
    """Let commits that hold a plan of `symbol` take their time; the plan ids of all commits to come."""
    for held in ("BTCUSDT", "ETHUSDT"):
        rig.holds(held, "1")
    sent: list[list[str]] = []

    async def hold_up(decisions: Sequence[DecisionCommit]) -> None:
        sent.append([decision.plan_id for decision in decisions])
        if any(decision.symbol == symbol for decision in decisions):
            await trio.sleep(SLOW_SEC)

    rig.store.before_commit = hold_up
    return sent


async def test_a_plan_of_another_symbol_is_committed_while_a_commit_is_on_its_way(
    rig: EvaluatorRig, autojump_clock: MockClock
) -> None:
    async with running_evaluator(rig):
        slow_commits_of(rig, "BTCUSDT")
        rig.publish("slow", "BTCUSDT")
        await trio.sleep(0.01)
        rig.publish("quick", "ETHUSDT")
        await trio.sleep(0.01)
        assert rig.reason("quick") == "sanity_checks_passed"
        assert rig.permit("slow") is None
        await trio.sleep(3 * SLOW_SEC)
        assert rig.reason("slow") == "sanity_checks_passed"


async def test_plans_of_one_symbol_are_never_on_their_way_in_two_commits(
    rig: EvaluatorRig, autojump_clock: MockClock
) -> None:
    async with running_evaluator(rig):
        sent = slow_commits_of(rig, "BTCUSDT")
        plans = [f"plan-{number}" for number in range(6)]
        for plan_id in plans:
            rig.publish(plan_id, "BTCUSDT", action="PARTIAL_50")
            await trio.sleep(SLOW_SEC / 3)
        assert sent[0] == ["plan-0"]
        await trio.sleep(20 * SLOW_SEC)
        assert rig.audited() == plans
    # Decided on what the one before left behind, each is right the first time; only the first had to learn.
    assert [plan_id for commit in sent for plan_id in commit] == ["plan-0", *plans]


async def test_a_failing_commit_takes_the_other_batch_with_it_and_both_are_answered_after_all(
    rig: EvaluatorRig, autojump_clock: MockClock
) -> None:
    async with running_evaluator(rig):
        slow_commits_of(rig, "BTCUSDT")
        rig.publish("slow", "BTCUSDT")
        await trio.sleep(0.01)
        rig.store.faults.fail_next("before", method="commit_decisions")
        rig.publish("unlucky", "ETHUSDT")
        await trio.sleep(10 * SLOW_SEC)
        assert rig.reason("slow") == rig.reason("unlucky") == "sanity_checks_passed"
        assert rig.pending() == 0
        assert sorted(rig.audited()) == ["slow", "unlucky"]


async def test_asked_to_stop_it_finishes_both_batches(rig: EvaluatorRig, autojump_clock: MockClock) -> None:
    await rig.take_lease()
    heartbeat = Heartbeat()
    with trio.fail_after(20 * SLOW_SEC):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.evaluator().run, heartbeat)
            await wait_all_tasks_blocked()
            sent = slow_commits_of(rig, "BTCUSDT")
            rig.publish("one", "BTCUSDT")
            await trio.sleep(0.01)
            rig.publish("another", "BTCUSDT", action="PARTIAL_50")
            await trio.sleep(0.01)
            assert sent == [["one"]]
            heartbeat.stopping.set()
    assert rig.audited() == ["one", "another"]


async def test_a_burst_is_committed_in_small_parts(rig: EvaluatorRig, autojump_clock: MockClock) -> None:
    plans = [f"plan-{number}" for number in range(200)]
    async with running_evaluator(rig):
        sent = slow_commits_of(rig, "SOLUSDT")
        for plan_id in plans:
            rig.publish(plan_id, "BTCUSDT", action="PARTIAL_50")
        await trio.sleep(1)
    assert rig.audited() == plans
    assert max(map(len, sent)) == 64, "Redis serves no other client while a script writes them"


async def test_a_batch_waits_for_the_locks_of_all_its_symbols() -> None:
    locks = SymbolLocks()
    taken: list[str] = []

    async def take(name: str, symbols: set[str]) -> None:
        await locks.acquire(symbols)
        taken.append(name)

    async with trio.open_nursery() as nursery:
        await locks.acquire({"BTC", "ETH"})
        nursery.start_soon(take, "both", {"ETH", "SOL"})
        nursery.start_soon(take, "other", {"ADA"})
        await wait_all_tasks_blocked()
        assert taken == ["other"]
        locks.release({"BTC", "ETH"})
        await wait_all_tasks_blocked()
        assert taken == ["other", "both"]
