"""`check` on the intent bridge, beside a real Redis."""

from __future__ import annotations

import pytest
import redis

from commands.check.findings import Finding, Verdict
from store.keys import BridgeNames
from tests.commands.check.test_role_findings import found

NAMES = BridgeNames("quantum", shadow=False)
LANES = "exit.intent,harvest.intent"


def findings(url: str, mode: str = "on", **changes: str) -> list[Finding]:
    return found(url, **{"P33_INTENT_BRIDGE": mode, **changes})


async def test_without_keys_all_is_well(redis_server: str) -> None:
    player, keys = findings(redis_server)
    assert (player.name, player.verdict) == ("role Intent Bridge", Verdict.OK)
    assert player.detail == "no group quantum:group:intent_bridge on quantum:stream:trade.intent yet"
    assert (keys.name, keys.verdict) == ("role intent bridge (on)", Verdict.OK)
    assert keys.detail.startswith("reads trade.intent; ")


async def test_each_lane_is_looked_at_and_a_shadow_looks_for_no_other_player(redis_server: str) -> None:
    lanes = findings(redis_server, INTENT_BRIDGE_EXIT_LANES=LANES)
    assert [each.name for each in lanes] == ["role Intent Bridge"] * 3 + ["role intent bridge (on)"]
    (shadow,) = findings(redis_server, "shadow", INTENT_BRIDGE_EXIT_LANES=LANES)
    assert (shadow.name, shadow.verdict) == ("role intent bridge (shadow)", Verdict.OK)
    assert shadow.detail.startswith("reads trade.intent, exit.intent, harvest.intent; ")


@pytest.mark.parametrize("take_over", [False, True])
async def test_another_player_is_a_failure_and_with_a_takeover_a_warning(
    redis_server: str, take_over: bool
) -> None:
    lane = NAMES.harvest_intents
    with redis.Redis.from_url(redis_server) as client:
        client.xgroup_create(lane.key, lane.group, "0", mkstream=True)
        client.xadd(lane.key, {"symbol": "BTCUSDT"})
        client.xreadgroup(lane.group, "theirs", {lane.key: ">"}, count=1)
    settings = {"INTENT_BRIDGE_EXIT_LANES": LANES, "P33_TAKE_OVER": str(take_over).lower()}
    *_, player, _ = findings(redis_server, **settings)
    assert player.verdict is (Verdict.WARNING if take_over else Verdict.FAILED)
    assert player.detail.startswith(f"another Intent Bridge works on `{lane.key}`: consumer theirs, idle ")


@pytest.mark.parametrize("key", [NAMES.audit, NAMES.plans, NAMES.mode, NAMES.trade_intents.dead])
async def test_a_key_of_a_wrong_type_is_a_failure(redis_server: str, key: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.rpush(key, "x")
    keys = findings(redis_server)[-1]
    assert keys.verdict is Verdict.FAILED
    assert f"{key} is a list, not a " in keys.detail


async def test_a_lockdown_is_a_warning(redis_server: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.set(NAMES.mode, "LOCKDOWN")
    keys = findings(redis_server)[-1]
    assert keys.verdict is Verdict.WARNING
    assert keys.detail == "quantum:system:mode is LOCKDOWN: no plan is made of entries"


async def test_exits_that_are_published_and_not_read_are_a_warning(redis_server: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.xadd(NAMES.exit_intents.key, {"symbol": "BTCUSDT"})
        client.xadd(NAMES.harvest_intents.key, {"symbol": "BTCUSDT"}, id="1760000000000-0")
    unread = findings(redis_server)[-1]
    assert (unread.name, unread.verdict) == ("stream exit.intent", Verdict.WARNING)
    assert "stream exit.intent" not in [
        each.name for each in findings(redis_server, INTENT_BRIDGE_EXIT_LANES=LANES)
    ]
