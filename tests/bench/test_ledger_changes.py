from __future__ import annotations

import time

from bench.ledger_cases import LEDGER_PREFIX
from bench.ledger_changes import LedgerChanges
from bench.redis_socket import BlockingRedis
from commands.clients.embedded_redis import private_redis


def _noted(changes: LedgerChanges, symbol: str, at_ms: float) -> float:
    give_up_sec = time.monotonic() + 10
    while (changed_ms := changes.first_after(symbol, at_ms)) is None:
        assert time.monotonic() < give_up_sec
    return changed_ms


async def test_the_first_change_of_a_symbols_ledger_since_a_time_is_noted() -> None:
    async with private_redis() as url:
        with BlockingRedis(url) as redis, LedgerChanges(url) as changes:
            begun_ms = time.time() * 1000
            redis.command("HSET", f"{LEDGER_PREFIX}BTCUSDT", "ledger_amt", "1")
            first_ms = _noted(changes, "BTCUSDT", begun_ms)
            redis.command("HSET", f"{LEDGER_PREFIX}BTCUSDT", "ledger_amt", "2")
            second_ms = _noted(changes, "BTCUSDT", first_ms + 0.001)
            assert begun_ms <= first_ms < second_ms <= time.time() * 1000
            assert changes.first_after("BTCUSDT", begun_ms) == first_ms
            assert changes.first_after("BTCUSDT", second_ms + 0.001) is None
            assert changes.first_after("ETHUSDT", begun_ms) is None
