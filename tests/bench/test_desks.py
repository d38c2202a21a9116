"""Consumers that a desk would write or take instead answer as the contract says, on a real redis-server."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench.account import Holding, ledger_commands
from bench.desk_handler import desk_commands
from bench.key_watch import KeyWatch
from bench.plans import GROUP, PERMIT_PREFIX, PLANS, all_answered, check_answers, publish_burst, series
from bench.processes import child
from bench.redis_socket import BlockingRedis
from commands.clients.embedded_redis import private_redis

_LONG = Holding("BTCUSDT", Decimal("0.001"), Decimal(10))
_FLAT = Holding("ETHUSDT", Decimal("0.01"), Decimal(0))
_HELD = [_LONG, _FLAT]
_DESKS = [["bench.hand_written"], ["bench.hand_written", "together"], ["bench.faststream_consumer"]]


def _prepare(redis: BlockingRedis) -> None:
    redis.command("XGROUP", "CREATE", PLANS, GROUP, "0", "MKSTREAM")
    redis.pipeline([*ledger_commands(_HELD), *desk_commands(_HELD)])


def _permits(redis: BlockingRedis, *plan_ids: str) -> list[tuple[bool, str, str]]:
    found: list[tuple[bool, str, str]] = []
    for plan_id in plan_ids:
        permit: dict[str, Any] = json.loads(redis.command("GET", PERMIT_PREFIX + plan_id))
        found.append((permit["allow"], permit["reason"], permit["safe_qty"]))
    return found


@pytest.mark.parametrize("desk_of", _DESKS, ids=" ".join)
async def test_every_plan_gets_one_permit_and_is_acknowledged(desk_of: list[str], tmp_path: Path) -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis, KeyWatch(url, PERMIT_PREFIX) as watch:
            _prepare(redis)
            publish_burst(redis, "burst", _HELD, 300)
            with child("desk", tmp_path, desk_of[0], url, PLANS, *desk_of[1:]) as desk:
                watch.wait_for("burst299")
                for plan_id, packed in series("late", _HELD, 3):
                    watch.send_packed(packed)
                    watch.wait_for(plan_id)
                desk.wait_until(lambda: b"all" if all_answered(redis) else b"", "has not acknowledged all")
            check_answers(redis, [f"burst{number}" for number in range(300)] + ["late0", "late1", "late2"])
            # The first two of each symbol: a step or half of one of the position; two opens.
            assert _permits(redis, "late0", "late1", "late2") == [
                (True, "sanity_checks_passed", "0.001"),
                (True, "open_permit_granted", "0.01"),
                (False, "below_min_qty", "0"),
            ]
            calls = redis.info("commandstats")["cmdstat_set"]
            assert calls.startswith(f"calls={2 * 303},")


@pytest.mark.parametrize("desk_of", _DESKS, ids=" ".join)
@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ([("SET", "quantum:reconcile:hold:BTCUSDT", "p34:drift")], "reconcile_hold_active"),
        ([("HSET", "quantum:position:snapshot:BTCUSDT", "ts_epoch_ms", "1000")], "stale_exchange_state"),
        (
            [("HSET", "quantum:position:ledger:BTCUSDT", "last_known_amt", "9")],
            "reconcile_required_qty_mismatch",
        ),
    ],
)
async def test_a_plan_is_denied_for_a_reason_that_the_reads_show(
    desk_of: list[str], commands: list[tuple[str, ...]], reason: str, tmp_path: Path
) -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis, KeyWatch(url, PERMIT_PREFIX) as watch:
            _prepare(redis)
            redis.pipeline(commands)
            ((plan_id, packed),) = series("one", [_LONG], 1)
            watch.send_packed(packed)
            with child("desk", tmp_path, desk_of[0], url, PLANS, *desk_of[1:]):
                watch.wait_for(plan_id)
            assert _permits(redis, plan_id) == [(False, reason, "0")]


async def test_the_entries_of_a_killed_consumer_are_answered_by_the_next_one(tmp_path: Path) -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis, KeyWatch(url, PERMIT_PREFIX) as watch:
            _prepare(redis)
            publish_burst(redis, "given", _HELD, 3)
            redis.command("XREADGROUP", "GROUP", GROUP, "desk", "STREAMS", PLANS, ">")
            with child("desk", tmp_path, "bench.hand_written", url, PLANS) as desk:
                watch.wait_for("given2")
                desk.wait_until(lambda: b"all" if all_answered(redis) else b"", "has not acknowledged all")
