"""A thread's gate and a trio gate want the same plans at the same instant: each plan goes to one of them."""

from __future__ import annotations

import threading

import pytest
import redis
import trio

from gate_testing.flavours import PATIENT, Answer
from gate_testing.permits import SYMBOL, issue
from permit_gate import GOVERNOR, P33, GateRules, Granted, PermitGate, Refusal, Refused
from permit_gate.trio_gate import open_trio_gate

PLANS = [str(number) for number in range(1000)]
WAITERS = 4
Answers = dict[str, Answer]


@pytest.mark.parametrize("crossing", [False, True], ids=["plan by plan", "towards each other"])
async def test_of_a_thread_and_a_trio_task_at_the_same_instant_each_plan_goes_to_one(
    redis_server: str, store: redis.Redis, crossing: bool
) -> None:
    """Woken by the same push the thread is faster; going towards each other each gets its part."""
    in_threads: Answers = {}
    in_tasks: Answers = {}
    begun = threading.Barrier(WAITERS + 1)

    def wait_in_a_thread(gate: PermitGate, share: list[str]) -> None:
        begun.wait(10)
        for plan_id in reversed(share) if crossing else share:
            in_threads[plan_id] = gate.acquire(plan_id, SYMBOL, (GOVERNOR, P33), timeout_sec=20)

    async with open_trio_gate(redis_server, GateRules(consumer="tasks"), **PATIENT) as trio_gate:

        async def wait_in_a_task(share: list[str]) -> None:
            for plan_id in share:
                in_tasks[plan_id] = await trio_gate.acquire(plan_id, SYMBOL, (GOVERNOR, P33), timeout_sec=20)

        with PermitGate(redis_server, GateRules(consumer="threads"), **PATIENT) as gate:
            async with trio.open_nursery() as nursery:
                for offset in range(WAITERS):
                    share = PLANS[offset::WAITERS]
                    nursery.start_soon(trio.to_thread.run_sync, wait_in_a_thread, gate, share)
                    for plan_id in share if crossing else ():
                        issue(store, plan_id)
                    nursery.start_soon(wait_in_a_task, share)
                await trio.to_thread.run_sync(begun.wait, 10)
                for plan_id in PLANS if not crossing else ():
                    issue(store, plan_id)
                    await trio.lowlevel.checkpoint()

    winners = {"threads": 0, "tasks": 0}
    for plan_id in PLANS:
        granted = [
            (name, answer)
            for name, answer in (("threads", in_threads[plan_id]), ("tasks", in_tasks[plan_id]))
            if isinstance(answer, Granted)
        ]
        assert len(granted) == 1, plan_id
        ((winner, _),) = granted
        winners[winner] += 1
        (refused,) = [
            answer for answer in (in_threads[plan_id], in_tasks[plan_id]) if isinstance(answer, Refused)
        ]
        assert refused.reason is Refusal.PERMIT_ALREADY_CONSUMED
        assert refused.because == f"by {winner}"
        assert store.get(f"quantum:permit_gate:consumed:{plan_id}") == winner.encode()
    assert store.keys("quantum:permit:*") == []
    assert sum(winners.values()) == 1000
    assert not crossing or min(winners.values()) > 0, f"no race: {winners}"
