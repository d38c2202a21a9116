"""`check` on the reconcile engine, beside a real Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest
import redis

from commands.check.findings import Finding, Verdict
from tests.commands.check.test_role_findings import found

STATE = "quantum:reconcile:state:BTCUSDT"


def write(url: str, *, state: Mapping[str, str] | None = None, key: str = STATE, **strings: str) -> None:
    with redis.Redis.from_url(url) as client:
        if state is not None:
            client.hset(key, items=[text for pair in state.items() for text in pair])
        for name, value in strings.items():
            client.set(f"quantum:reconcile:{name.replace('__', ':')}", value)


def of_another(age_sec: float = 0) -> dict[str, str]:
    """Return a state as the predecessor writes it."""
    return {"status": "OK", "reason": "", "last_seen_ts": str(int(time.time() - age_sec))}


def ours(**changes: str) -> dict[str, str]:
    state = of_another()
    return {**state, "written_ms": f"{state['last_seen_ts']}250", **changes}


def engine(url: str, **changes: str) -> list[Finding]:
    return found(url, **{"P33_RECONCILE": "on", **changes})


async def test_without_keys_or_with_our_own_all_is_well(redis_server: str) -> None:
    (before,) = engine(redis_server)
    assert (before.name, before.verdict) == ("role reconcile (on)", Verdict.OK)
    write(redis_server, state=ours(), hold__BTCUSDT="1", hold_sig__BTCUSDT="p34:0123456789ab")
    (after,) = engine(redis_server)
    assert after.verdict is Verdict.OK
    assert after.detail == "1 symbols have a state, none of another reconcile engine"


@pytest.mark.parametrize(
    ("changes", "age_sec", "verdict"),
    [
        ({}, 0, Verdict.FAILED),
        ({}, 60, Verdict.OK),
        ({"P33_TAKE_OVER": "true"}, 0, Verdict.WARNING),
        ({"P33_RECONCILE": "shadow"}, 0, Verdict.OK),
        ({}, -60, Verdict.OK),
    ],
)
async def test_another_engine_that_writes_now_is_named(
    redis_server: str, changes: dict[str, str], age_sec: float, verdict: Verdict
) -> None:
    write(redis_server, state=of_another(age_sec))
    (only,) = engine(redis_server, **changes)
    assert only.verdict is verdict
    if verdict is not Verdict.OK:
        assert f"another reconcile engine has written `{STATE}`" in only.detail


async def test_another_engine_that_writes_over_our_states_is_named(redis_server: str) -> None:
    write(redis_server, state={**ours(), **of_another(20), "written_ms": "1760000000000"})
    (only,) = engine(redis_server)
    assert only.verdict is Verdict.FAILED


async def test_holds_of_others_are_named_with_their_owner(redis_server: str) -> None:
    write(
        redis_server,
        hold__BTCUSDT="1",
        hold_sig__BTCUSDT="f00ba4",
        hold__ETHUSDT="drift",
        hold__XRPUSDT="1",
        hold_sig__XRPUSDT="operator:ana",
        hold__SOLUSDT="1",
        hold_sig__SOLUSDT="exec:p33-1",
    )
    _, holds = engine(redis_server)
    assert (holds.name, holds.verdict) == ("holds of others", Verdict.WARNING)
    assert holds.detail == "no case is examined for BTCUSDT (f00ba4), ETHUSDT (no hold_sig)"


async def test_keys_of_a_wrong_type_are_named(redis_server: str) -> None:
    write(redis_server, state__BTCUSDT="x")
    with redis.Redis.from_url(redis_server) as client:
        client.set("quantum:stream:reconcile.events", "x")
    (only,) = engine(redis_server)
    assert only.verdict is Verdict.FAILED
    assert only.detail == (
        f"of a wrong type: {STATE} is no hash, quantum:stream:reconcile.events is a string"
    )
