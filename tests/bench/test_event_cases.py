"""Bursts of events that count, on a real redis-server."""

from __future__ import annotations

from decimal import Decimal

from bench.event_cases import SNAPSHOT_PREFIX, read_since, unwritten
from bench.redis_socket import BlockingRedis
from commands.clients.embedded_redis import private_redis

_NOW_MS = 1_760_000_000_000


def _snapshot(redis: BlockingRedis, symbol: str, amount: str, verified_by: str, at_ms: int) -> None:
    key = SNAPSHOT_PREFIX + symbol
    redis.command("HSET", key, "position_amt", amount, "verified_by", verified_by, "ts_epoch_ms", str(at_ms))


async def test_a_symbol_that_shows_another_amount_or_nothing_is_unwritten() -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis:
            _snapshot(redis, "A", "1.50", "stream", _NOW_MS)
            _snapshot(redis, "B", "1.4", "stream", _NOW_MS)
            amounts = dict.fromkeys("ABC", Decimal("1.5"))
            assert unwritten(redis, amounts).keys() == {"B", "C"}


async def test_a_burst_is_overtaken_by_a_read_that_was_sent_after_it() -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis:
            _snapshot(redis, "PUSHED", "1", "stream", _NOW_MS + 5)
            _snapshot(redis, "EARLIER", "1", "rest", _NOW_MS)
            assert not read_since(redis, ["PUSHED", "EARLIER", "MISSING"], _NOW_MS)
            for verified_by in ("rest", "ondemand"):
                _snapshot(redis, "LATER", "1", verified_by, _NOW_MS + 1)
                assert read_since(redis, ["PUSHED", "EARLIER", "MISSING", "LATER"], _NOW_MS)
