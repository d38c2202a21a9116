"""The floors do what they are said to do, on a real redis-server."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bench.account import Holding
from bench.contenders import RESULTS
from bench.floor_writes import read
from bench.key_watch import KeyWatch
from bench.plans import (
    GROUP,
    PERMIT_PREFIX,
    PLANS,
    WrongAnswersError,
    all_answered,
    check_answers,
    fields,
    publish_burst,
    series,
)
from bench.processes import child
from bench.redis_socket import BlockingRedis
from commands.clients.embedded_redis import private_redis

_HELD = [
    Holding("BTCUSDT", Decimal("0.001"), Decimal("10")),
    Holding("ETHUSDT", Decimal("0.01"), Decimal("0")),
]
_FLOORS = ["bench.bare_floor", "bench.bridge_floor"]


@pytest.mark.parametrize("module", _FLOORS)
async def test_every_plan_gets_a_permit_and_is_acknowledged(module: str, tmp_path: Path) -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis, KeyWatch(url, PERMIT_PREFIX) as watch:
            redis.command("XGROUP", "CREATE", PLANS, GROUP, "0", "MKSTREAM")
            publish_burst(redis, "burst", _HELD, 600)
            assert not all_answered(redis)
            with child("floor", tmp_path, module, url, PLANS):
                watch.wait_for("burst599")
                for plan_id, packed in series("late", _HELD, 3):
                    watch.send_packed(packed)
                    watch.wait_for(plan_id)
            assert all_answered(redis)
            check_answers(redis, [f"burst{number}" for number in range(600)] + ["late0", "late1", "late2"])
            with pytest.raises(WrongAnswersError, match="unanswered"):
                check_answers(redis, ["burst600"])


@pytest.mark.parametrize("module", _FLOORS)
async def test_every_result_is_written_to_its_ledger(module: str, tmp_path: Path) -> None:
    result = ("symbol", "BTCUSDT", "order_id", "17", "filled_qty", "0.003", "timestamp", "1")
    async with private_redis() as url:
        with BlockingRedis(url) as redis, KeyWatch(url, "quantum:position:ledger:") as watch:
            redis.command("XGROUP", "CREATE", RESULTS, GROUP, "0", "MKSTREAM")
            redis.command("XADD", RESULTS, "*", *result)
            with child("floor", tmp_path, module, url, RESULTS):
                watch.wait_for("BTCUSDT")
            assert redis.command("HGET", "quantum:position:ledger:BTCUSDT", "last_order_id") == b"17"


@pytest.mark.parametrize("module", _FLOORS)
async def test_the_entries_of_a_killed_floor_are_written_by_the_next_one(module: str, tmp_path: Path) -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis, KeyWatch(url, PERMIT_PREFIX) as watch:
            redis.command("XGROUP", "CREATE", PLANS, GROUP, "0", "MKSTREAM")
            publish_burst(redis, "given", _HELD, 3)
            redis.command(*read(PLANS))
            with child("floor", tmp_path, module, url, PLANS):
                watch.wait_for("given2")
                for plan_id, packed in series("late", _HELD, 1):
                    watch.send_packed(packed)
                    watch.wait_for(plan_id)
            assert all_answered(redis)


async def test_a_burst_holds_the_same_plans_as_a_series() -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis:
            publish_burst(redis, "x", _HELD, 20)
            burst = [entry for _, entry in redis.command("XRANGE", PLANS, "-", "+")]
            redis.command("DEL", PLANS)
            for _, packed in series("x", _HELD, 20):
                redis.send_packed(packed)
                redis.reply()
            one_by_one = [entry for _, entry in redis.command("XRANGE", PLANS, "-", "+")]
    unstamped = [[entry[:-1] for entry in entries] for entries in (burst, one_by_one)]
    assert unstamped[0] == unstamped[1]
    assert {entry[-2] for entry in burst + one_by_one} == {b"timestamp"}


def test_of_four_plans_of_a_position_one_closes_a_whole_step() -> None:
    quantities = [
        dict(zip(plan[::2], plan[1::2], strict=True))["close_qty"]
        for plan in (fields(_HELD[0], allowed=allowed, now_sec=0) for allowed in (True, False))
    ]
    assert quantities == ["0.001", "0.0005"]
