"""The relay to a Redis far away delays each way by half of the round trip, and does nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.delay_relay import far_redis
from bench.redis_socket import BlockingRedis
from commands.clients.embedded_redis import private_redis

#: Of the relay itself, in both directions together.
_OWN_MS = 0.1
_MEASURED, _MEASURED_SEC = 100, 0.5


def _round_trip_ms(redis: BlockingRedis, idle_sec: float = 0) -> float:
    """Return the least of many: a busy machine adds, and never takes. `idle_sec`: before each."""
    took_sec: list[float] = []
    until_sec = time.perf_counter() + _MEASURED_SEC
    while len(took_sec) < _MEASURED or time.perf_counter() < until_sec:
        time.sleep(idle_sec)
        begun_sec = time.perf_counter()
        redis.command("PING")
        took_sec.append(time.perf_counter() - begun_sec)
    return min(took_sec) * 1000


@pytest.mark.timing
@pytest.mark.parametrize("round_trip_ms", [0, 1, 5, 25])
async def test_a_command_takes_the_round_trip_longer_and_little_more(
    round_trip_ms: float, tmp_path: Path
) -> None:
    async with private_redis() as url:
        with (
            far_redis(tmp_path, url) as relay,
            BlockingRedis(url) as near,
            BlockingRedis(relay.url) as far,
        ):
            relay.set_round_trip(round_trip_ms)
            added_ms = _round_trip_ms(far) - _round_trip_ms(near, round_trip_ms / 1000)
    assert added_ms == pytest.approx(round_trip_ms, abs=_OWN_MS)


async def test_much_at_once_comes_in_order_after_one_round_trip(tmp_path: Path) -> None:
    values = [str(number).encode() * 1_000 for number in range(5_000)]
    async with private_redis() as url:
        with far_redis(tmp_path, url) as relay, BlockingRedis(relay.url) as redis:
            relay.set_round_trip(200)
            begun_sec = time.perf_counter()
            assert redis.pipeline([("ECHO", value) for value in values]) == values
            # Twenty megabytes each way: one piece after another would take seconds.
            assert 0.2 <= time.perf_counter() - begun_sec < 1.0


async def test_connections_are_relayed_side_by_side_and_their_ends_passed_on(tmp_path: Path) -> None:
    async with private_redis() as url:
        with far_redis(tmp_path, url) as relay, BlockingRedis(url) as near:
            relay.set_round_trip(10)
            with BlockingRedis(relay.url) as waiting, BlockingRedis(relay.url) as other:
                waiting.send([("BLPOP", "list", 30)])
                other.command("RPUSH", "list", "value")
                assert waiting.reply() == [b"list", b"value"]
                clients = near.info("clients")["connected_clients"]
                near.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                with pytest.raises(ConnectionError):
                    waiting.command("PING")
            assert clients == "3"
            with BlockingRedis(relay.url) as again:
                assert again.command("PING") == b"PONG"


async def test_a_client_that_goes_is_gone_at_redis(tmp_path: Path) -> None:
    async with private_redis() as url:
        with far_redis(tmp_path, url) as relay, BlockingRedis(url) as near:
            relay.set_round_trip(10)
            with BlockingRedis(relay.url):
                assert near.info("clients")["connected_clients"] == "2"
            give_up_sec = time.monotonic() + 10
            while near.info("clients")["connected_clients"] != "1":
                assert time.monotonic() < give_up_sec
