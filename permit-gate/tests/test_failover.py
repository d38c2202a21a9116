"""A failover behind one address: the old primary lives on as a replica and keeps its connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
import trio

from gate_testing.flavours import Acquire, Answer, OpenGate
from gate_testing.permits import issue
from gate_testing.redis_server import OwnRedis, own_redis
from permit_gate import Granted, Refusal, Refused

PLANS = [str(number) for number in range(10)]


def client_of(socket_path: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(socket_path))


def fail_over(old: OwnRedis, new: OwnRedis) -> redis.Redis:
    """Demote `old`, and let its address lead to `new` from now on; the old one's connections stay."""
    demoted = old.socket_path.with_name("demoted.sock")
    old.socket_path.rename(demoted)
    new.socket_path.rename(old.socket_path)
    client = client_of(demoted)
    client.replicaof("127.0.0.1", "1")
    return client


async def acquire_at_once(acquire: Acquire, plan_ids: list[str], **options: Any) -> list[Answer]:
    """The answers to calls that each have a connection of their own."""
    answers: list[Answer] = []

    async def one(plan_id: str) -> None:
        answers.append(await acquire(plan_id, **options))

    async with trio.open_nursery() as nursery:
        for plan_id in plan_ids:
            nursery.start_soon(one, plan_id)
    return answers


@pytest.mark.parametrize("stale_reads", ["yes", "no"])
async def test_a_failover_behind_one_address_costs_one_plan_and_not_one_for_each_connection(
    open_gate: OpenGate, stale_reads: str
) -> None:
    with own_redis("--replica-serve-stale-data", stale_reads) as old, own_redis() as new:
        for plan_id in PLANS:  # the replica has what the new primary has
            issue(client_of(old.socket_path), plan_id)
            issue(client_of(new.socket_path), plan_id)
        async with open_gate(old.url) as acquire:
            await acquire_at_once(acquire, [f"absent-{plan_id}" for plan_id in PLANS], timeout_sec=0.2)
            demoted = fail_over(old, new)
            refused = await acquire(PLANS[0])
            answers = await acquire_at_once(acquire, PLANS[1:])
        assert isinstance(refused, Refused) and refused.reason is Refusal.REDIS_ERROR
        assert all(isinstance(answer, Granted) for answer in answers), answers
        assert client_of(old.socket_path).exists(f"quantum:permit:{PLANS[0]}") == 1
        demoted.close()
