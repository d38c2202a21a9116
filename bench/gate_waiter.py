"""Waiter at the permit gate for one plan after the other, like an executor, with the moment of each permit.

`python -m bench.gate_waiter floor|blocking|trio REDIS_URL NAME PLANS` takes the permits of the plans
`NAME0`, `NAME1`, … and prints the moments (`time.perf_counter`) as a JSON list. The floor reads, waits for a
push of Redis, reads and deletes, without checks.
"""

from __future__ import annotations

import sys
import time

import msgspec
import trio

from bench.plans import PERMIT_PREFIX
from bench.redis_socket import BlockingRedis
from permit_gate import P33, GateRules, Granted, PermitGate
from permit_gate.trio_gate import open_trio_gate

SYMBOL = "BTCUSDT"
#: Key that floor and gate set when they have a permit.
CONSUMED_PREFIX = "quantum:permit_gate:consumed:"
_LONGEST_SEC = 20.0
_RULES = GateRules(consumer="bench")


class NotGrantedError(Exception):
    """Gate refused a permit that it had to grant."""


def wait_as_the_floor(redis_url: str, plan_ids: list[str]) -> list[float]:
    """Return the moments at which each permit was taken."""
    moments: list[float] = []
    with BlockingRedis(redis_url) as redis:
        redis.command("CLIENT", "TRACKING", "ON")
        for plan_id in plan_ids:
            key = PERMIT_PREFIX + plan_id
            while redis.command("GET", key) is None:
                redis.wait_for_push()
                redis.pushed.clear()
            redis.pipeline([("DEL", key), ("SET", CONSUMED_PREFIX + plan_id, "floor", "EX", 60)])
            moments.append(time.perf_counter())
    return moments


def wait_as_a_thread(redis_url: str, plan_ids: list[str]) -> list[float]:
    """Return the moments with the blocking gate. Raises NotGrantedError."""
    gate = PermitGate(redis_url, _RULES)
    moments: list[float] = []
    for plan_id in plan_ids:
        _granted(gate.acquire(plan_id, SYMBOL, [P33], timeout_sec=_LONGEST_SEC))
        moments.append(time.perf_counter())
    return moments


async def wait_as_a_task(redis_url: str, plan_ids: list[str]) -> list[float]:
    """Return the moments with the gate for Trio. Raises NotGrantedError."""
    moments: list[float] = []
    async with open_trio_gate(redis_url, _RULES) as gate:
        for plan_id in plan_ids:
            _granted(await gate.acquire(plan_id, SYMBOL, [P33], timeout_sec=_LONGEST_SEC))
            moments.append(time.perf_counter())
    return moments


def _granted(answer: object) -> None:
    if not isinstance(answer, Granted):
        raise NotGrantedError(str(answer))


def main(kind: str, redis_url: str, name: str, plans: str) -> None:
    """Wait for so many plans, and print the moments."""
    plan_ids = [f"{name}{number}" for number in range(int(plans))]
    if kind == "trio":
        moments = trio.run(wait_as_a_task, redis_url, plan_ids)
    else:
        wait = {"floor": wait_as_the_floor, "blocking": wait_as_a_thread}[kind]
        moments = wait(redis_url, plan_ids)
    print(msgspec.json.encode(moments).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5])
