"""`check` on the roles that are switched on, beside a real Redis."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis

from commands.check.findings import Finding, Verdict
from commands.check.roles import player_finding, role_findings
from commands.clients.redis_reading import reading
from settings import load
from store.keys import Keys

STREAM = "quantum:stream:apply.plan"


def found(url: str, **settings: str) -> list[Finding]:
    environ = {"REDIS_URL": url, "P33_INSTANCE": "mine", **settings}
    with reading(environ) as client:
        return list(role_findings(client, load(environ).settings))


def players(url: str, **settings: str) -> Finding:
    environ = {"REDIS_URL": url, "P33_INSTANCE": "mine", **settings}
    with reading(environ) as client:
        return player_finding(client, load(environ).settings, "Governor", STREAM, "governor")


def publish(url: str, *, by: str | None, age_sec: float = 0, base: str = "quantum:cfg:universe") -> None:
    with redis.Redis.from_url(url) as client:
        asof = int(time.time() - age_sec)
        listed: dict[str, Any] = {"asof_epoch": asof, "symbols": ["BTCUSDT"]}
        client.set(f"{base}:active", json.dumps(listed if by is None else listed | {"published_by": by}))
        client.hset(f"{base}:meta", mapping={"stale": "0", "count": "1", "published_by": "mine"})


def read_as(url: str, consumer: str) -> None:
    """Read an entry as a consumer of the group `governor`."""
    with redis.Redis.from_url(url) as client:
        client.xadd(STREAM, {"plan_id": "1"})
        if not client.xinfo_groups(STREAM):
            client.xgroup_create(STREAM, "governor", "0")
        client.xreadgroup("governor", consumer, {STREAM: ">"}, count=1)


async def test_roles_that_are_off_are_not_mentioned(redis_server: str) -> None:
    assert found(redis_server) == []


async def test_a_universe_of_ours_is_well(redis_server: str) -> None:
    (before,) = found(redis_server, P33_UNIVERSE="on")
    assert before.verdict is Verdict.OK
    assert before.detail == "quantum:cfg:universe:active is not published yet"
    publish(redis_server, by="mine")
    (after,) = found(redis_server, P33_UNIVERSE="on")
    assert (after.name, after.verdict) == ("role universe (on)", Verdict.OK)
    assert after.detail.startswith("1 symbols, ")


async def test_another_publisher_of_the_universe_is_a_failure_and_with_a_takeover_a_warning(
    redis_server: str,
) -> None:
    publish(redis_server, by=None)
    (failure,) = found(redis_server, P33_UNIVERSE="on")
    assert failure.verdict is Verdict.FAILED
    expected = "another universe publisher works on quantum:cfg:universe:active: its list is "
    assert failure.detail.startswith(expected)
    (warning,) = found(redis_server, P33_UNIVERSE="on", P33_TAKE_OVER="true")
    assert warning.verdict is Verdict.WARNING
    (shadow,) = found(redis_server, P33_UNIVERSE="shadow")
    assert shadow.verdict is Verdict.OK


async def test_a_publisher_that_stopped_long_ago_or_is_an_instance_of_ours_is_no_other(
    redis_server: str,
) -> None:
    publish(redis_server, by=None, age_sec=125)
    (stopped,) = found(redis_server, P33_UNIVERSE="on")
    assert stopped.verdict is Verdict.OK
    publish(redis_server, by="the former holder of the lease")
    (standby,) = found(redis_server, P33_UNIVERSE="on")
    assert standby.verdict is Verdict.OK


async def test_a_stale_universe_is_a_warning_with_its_error(redis_server: str) -> None:
    publish(redis_server, by="mine")
    with redis.Redis.from_url(redis_server) as client:
        client.hset("quantum:cfg:universe:meta", mapping={"stale": "1", "error": "shrank: 3 of 10"})
    (stale,) = found(redis_server, P33_UNIVERSE="on")
    assert stale.verdict is Verdict.WARNING
    assert stale.detail.endswith("marked as stale: shrank: 3 of 10")


async def test_another_player_of_a_role_is_named_with_its_idle_time(redis_server: str) -> None:
    assert players(redis_server).verdict is Verdict.OK
    read_as(redis_server, "mine")
    assert players(redis_server).verdict is Verdict.OK
    read_as(redis_server, "gov-1234")
    failure = players(redis_server)
    assert failure.verdict is Verdict.FAILED
    begin = f"another Governor works on `{STREAM}`: consumer gov-1234, idle 0."
    assert failure.detail.startswith(begin)
    assert players(redis_server, P33_TAKE_OVER="true").verdict is Verdict.WARNING
    with redis.Redis.from_url(redis_server) as client:
        client.hset(Keys("quantum").players, "gov-1234", "17@host/1/abc:gov-1234")
    assert players(redis_server).verdict is Verdict.OK


async def test_another_consumer_of_the_executors_groups_is_a_failure_unless_it_is_a_dry_run(
    redis_server: str,
) -> None:
    with redis.Redis.from_url(redis_server) as client:
        for group in ("intent_executor", "intent_executor_shadow"):
            client.xgroup_create(STREAM, group, "0", mkstream=True)
        client.xadd(STREAM, {"plan_id": "1"})
        client.xreadgroup("intent_executor", "theirs", {STREAM: ">"}, count=1)
    assert found(redis_server, P33_EXECUTOR="off") == []
    assert found(redis_server, P33_EXECUTOR="dry_run") == []
    (failure,) = found(redis_server, P33_EXECUTOR="on")
    assert (failure.name, failure.verdict) == ("role executor", Verdict.FAILED)
    assert failure.detail.startswith(f"another executor works on `{STREAM}`: consumer theirs, idle ")
    _, manual = found(redis_server, P33_EXECUTOR="on", EXEC_MANUAL_LANE="true")
    assert manual.detail == f"no group intent_executor_manual on {STREAM}.manual yet"


#: Weights that tighten the entry gate.
TIGHT = {"GOV_Z_ENTRY_HEAT": "-0.5", "GOV_Z_ENTRY_DRAWDOWN": "-0.3"}


@pytest.mark.parametrize(
    ("settings", "detail"),
    [
        ({}, "GOV_Z_ENTRY_HEAT=0.5 and GOV_Z_ENTRY_DRAWDOWN=0.3"),
        ({"GOV_Z_ENTRY_HEAT": "-0.5"}, "GOV_Z_ENTRY_DRAWDOWN=0.3"),
        ({"GOV_Z_ENTRY_DRAWDOWN": "0"}, "GOV_Z_ENTRY_HEAT=0.5"),
    ],
)
async def test_weights_that_loosen_the_entry_gate_are_a_warning(
    redis_server: str, settings: dict[str, str], detail: str
) -> None:
    loosened = [
        each
        for each in found(redis_server, **settings, P33_GOVERNOR="on")
        if each.name == "kill score cut-off"
    ]
    (warning,) = loosened
    assert warning.verdict is Verdict.WARNING
    assert warning.detail.startswith(f"{detail}: ")


async def test_weights_that_tighten_the_entry_gate_are_none(redis_server: str) -> None:
    names = [each.name for each in found(redis_server, **TIGHT, P33_GOVERNOR="on")]
    assert "kill score cut-off" not in names


async def test_another_governor_on_either_stream_is_a_failure(redis_server: str) -> None:
    before = found(redis_server, **TIGHT, P33_GOVERNOR="on")
    assert [(each.name, each.verdict) for each in before] == [
        ("role Governor", Verdict.OK), ("role Governor", Verdict.OK), ("role governor (on)", Verdict.OK),
    ]  # fmt: skip
    read_as(redis_server, "gov-1234")
    first, second, _ = found(redis_server, **TIGHT, P33_GOVERNOR="on")
    assert (first.verdict, second.verdict) == (Verdict.FAILED, Verdict.OK)
    assert "another Governor works on `quantum:stream:apply.plan`" in first.detail


async def test_a_key_of_the_governor_of_a_wrong_type_is_a_failure(redis_server: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.set("quantum:governor:shadow:reserved", "x")
    *_, on = found(redis_server, **TIGHT, P33_GOVERNOR="on")
    (shadow,) = found(redis_server, **TIGHT, P33_GOVERNOR="shadow")
    assert (on.verdict, shadow.verdict) == (Verdict.OK, Verdict.FAILED)
    assert shadow.detail == "quantum:governor:shadow:reserved is a string, not a hash"
