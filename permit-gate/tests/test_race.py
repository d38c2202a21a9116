"""Two gates of one flavour want the same 1 000 plans at the same instant: each plan goes to one of them."""

from __future__ import annotations

import redis
import trio

from gate_testing.flavours import Acquire, OpenGate
from gate_testing.permits import issue
from permit_gate import Granted, Refusal

PLANS = 1000


async def test_of_two_gates_at_the_same_instant_each_plan_goes_to_one(
    open_gate: OpenGate, redis_server: str, store: redis.Redis
) -> None:
    plans = [str(number) for number in range(PLANS)]
    granted: list[str] = []
    refused: list[Refusal] = []

    async def consume(acquire: Acquire, share: list[str]) -> None:
        for plan_id in share:
            answer = await acquire(plan_id, timeout_sec=20)
            if isinstance(answer, Granted):
                granted.append(plan_id)
            else:
                refused.append(answer.reason)

    async def race(one: Acquire, other: Acquire) -> None:
        async with trio.open_nursery() as nursery:
            for offset in range(4):
                nursery.start_soon(consume, one, plans[offset::4])
                nursery.start_soon(consume, other, plans[offset::4])
            for plan_id in plans:
                issue(store, plan_id)
                await trio.lowlevel.checkpoint()

    async with open_gate(redis_server) as one, open_gate(redis_server) as other:
        await race(one, other)
    assert sorted(granted) == sorted(plans)
    assert refused == [Refusal.PERMIT_ALREADY_CONSUMED] * PLANS
