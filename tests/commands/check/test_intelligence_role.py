"""`check` on decision intelligence, beside a real Redis."""

from __future__ import annotations

import time

import pytest
import redis

from commands.check.findings import Finding, Verdict
from store.intelligence_keys import IntelligenceNames
from tests.commands.check.test_role_findings import found

NAMES = IntelligenceNames("quantum")
STREAM, GROUP = NAMES.results.key, NAMES.results.group


def findings(url: str, **changes: str) -> list[Finding]:
    return found(url, **{"P33_DECISION_INTELLIGENCE": "on", **changes})


async def test_without_keys_all_is_well(redis_server: str) -> None:
    player, keys = findings(redis_server)
    assert (player.name, player.verdict) == ("role P3.5", Verdict.OK)
    assert player.detail == f"no group {GROUP} on {STREAM} yet"
    assert (keys.name, keys.verdict) == ("role p35 (on)", Verdict.OK)
    assert "no result was counted" in keys.detail


async def test_the_number_of_counted_results_is_named(redis_server: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.hset(NAMES.status, mapping={"processed_total": "17", "last_ts": str(int(time.time()) - 5)})
    _, keys = findings(redis_server)
    assert keys.detail.startswith("17 results counted, the latest ")


@pytest.mark.parametrize("take_over", [False, True])
async def test_another_player_is_a_failure_and_with_a_takeover_a_warning(
    redis_server: str, take_over: bool
) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        client.xadd(STREAM, {"plan_id": "1"})
        client.xreadgroup(GROUP, "p35-theirs", {STREAM: ">"}, count=1)
    player, _ = findings(redis_server, P33_TAKE_OVER=str(take_over).lower())
    assert player.verdict is (Verdict.WARNING if take_over else Verdict.FAILED)
    assert player.detail.startswith(f"another P3.5 works on `{STREAM}`: consumer p35-theirs, idle ")


@pytest.mark.parametrize("key", [NAMES.status, NAMES.gates("15m"), NAMES.unknown, NAMES.results.last_id])
async def test_a_key_of_a_wrong_type_is_a_failure(redis_server: str, key: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.rpush(key, "x")
    _, keys = findings(redis_server)
    assert keys.verdict is Verdict.FAILED
    assert f"{key} is a list, not a " in keys.detail
