"""`check` and `proof` on the universe: whether any plan may open anything, and the fix."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
import redis

from commands.check import check
from commands.check.findings import Finding, Verdict
from commands.check.openable import read_allowlist, stored_allowlist
from commands.clients.redis_reading import reading
from commands.proof import proof
from settings import load
from tests.commands.deployment import Deployment

UNIVERSE = {"P33_ALLOWLIST_SOURCE": "universe", "P33_ALLOWLIST": ""}
NOTHING_OPENS = "no plan may open anything: "
NO_UNIVERSE = f"{NOTHING_OPENS}no universe (active: no meta; last_ok: missing)"
NONE_TRADED = f"{NOTHING_OPENS}the exchange trades none of the symbols of universe_active"
PUBLISH, REPAIR = "publish <prefix>:cfg:universe:active and meta", "repair the universe service"


def publish(url: str, symbols: Sequence[str], *, age_sec: float = 0, stale: str = "0") -> None:
    asof_sec = int(time.time() - age_sec)
    with redis.Redis.from_url(url) as client:
        meta = {"stale": stale, "count": len(symbols), "asof_epoch": asof_sec}
        client.hset("quantum:cfg:universe:meta", mapping=meta)
        for name in ("active", "last_ok"):
            client.set(
                f"quantum:cfg:universe:{name}", json.dumps({"asof_epoch": asof_sec, "symbols": symbols})
            )


def looked(url: str, **settings: str) -> Finding:
    environ = {"REDIS_URL": url, **settings}
    with reading(environ) as client:
        return stored_allowlist(read_allowlist(client, load(environ).settings))


@pytest.mark.parametrize(
    ("settings", "shown", "fix"),
    [
        (
            {},
            f"{NO_UNIVERSE}, and P33_ALLOWLIST is empty",
            PUBLISH,
        ),
        ({"P33_ALLOWLIST_SOURCE": "env"}, f"{NOTHING_OPENS}P33_ALLOWLIST is empty", "set P33_ALLOWLIST"),
    ],
)
async def test_on_a_fresh_install_nothing_may_be_opened(
    redis_server: str, settings: dict[str, str], shown: str, fix: str
) -> None:
    found = looked(redis_server, **settings)
    assert (found.name, found.verdict, found.detail) == ("allowlist", Verdict.FAILED, shown)
    assert fix in found.fix


@pytest.mark.parametrize(
    ("symbols", "age_sec", "stale", "verdict", "shown", "fix"),
    [
        (["BTCUSDT", "ETHUSDT"], 0, "0", "ok", "2 symbols may be opened (universe_active, ", ""),
        ([], 0, "0", "failed", "meta.count is '0', not above 0; last_ok: no symbols", PUBLISH),
        (["BTCUSDT"], 90_000, "0", "failed", " s old, 86400 s allowed), and P33_ALLOWLIST is empty", PUBLISH),
        (["BTCUSDT"], 400, "0", "warning", "(last_ok, 6 min 4", REPAIR),
        (["BTCUSDT"], 400, "0", "warning", "the universe is stale: active: 40", REPAIR),
        (["BTCUSDT"], 0, "1", "warning", "the universe is stale: active: meta.stale is '1', not 0", REPAIR),
        (["BTCUSDT", "a b"], 0, "0", "warning", "universe_active: 1 of its entries are no symbols", REPAIR),
    ],
)
async def test_the_universe_is_judged_as_the_service_would_use_it(
    redis_server: str, symbols: list[str], age_sec: float, stale: str, verdict: str, shown: str, fix: str
) -> None:
    publish(redis_server, symbols, age_sec=age_sec, stale=stale)
    found = looked(redis_server)
    assert found.verdict == verdict
    assert shown in found.detail
    assert found.fix.startswith(fix)


async def test_universe_keys_of_a_wrong_type_count_as_missing(redis_server: str) -> None:
    with redis.Redis.from_url(redis_server) as client:
        client.set("quantum:cfg:universe:meta", "1")
        client.hset("quantum:cfg:universe:active", "a", "b")
    assert looked(redis_server).detail.startswith(
        f"{NOTHING_OPENS}no universe (active: no meta; last_ok: missing)"
    )


async def test_an_operators_list_in_place_of_the_universe_is_a_warning_unless_it_is_meant(
    redis_server: str,
) -> None:
    stands_in = looked(redis_server, P33_ALLOWLIST="BTCUSDT")
    assert stands_in.verdict == Verdict.WARNING
    assert stands_in.detail.startswith("1 symbol may be opened (env): no universe: active: no meta")
    assert "P33_ALLOWLIST_SOURCE=env" in stands_in.fix
    meant = looked(redis_server, P33_ALLOWLIST="BTCUSDT", P33_ALLOWLIST_SOURCE="env")
    assert (meant.verdict, meant.detail) == (Verdict.OK, "1 symbol may be opened (env)")


@pytest.mark.parametrize(
    ("symbols", "verdict", "shown", "fix"),
    [
        (["BTCUSDT"], "ok", "16 symbols, 16 trading", ""),
        (["BTCUSDT", "GONEUSDT"], "warning", "not among them: GONEUSDT", "correct the universe: these are"),
        (["GONEUSDT"], "failed", f"GONEUSDT: {NOTHING_OPENS[:-2]}", "correct the universe: nothing in it"),
    ],
)
async def test_check_names_symbols_of_the_universe_that_the_exchange_does_not_trade(
    deployed: Deployment, symbols: list[str], verdict: str, shown: str, fix: str
) -> None:
    publish(deployed.url, symbols)
    code, findings = await deployed.findings_of(check, {**deployed.environ, **UNIVERSE}, watch_sec=0.01)
    [found] = [finding for finding in findings if finding["name"] == "exchangeInfo"]
    assert (code, found["verdict"]) == (verdict == "failed", verdict)
    assert shown in found["detail"]
    assert found["fix"].startswith(fix)


async def test_check_fails_where_nothing_may_be_opened(deployed: Deployment) -> None:
    code, findings = await deployed.findings_of(check, {**deployed.environ, **UNIVERSE}, watch_sec=0.01)
    assert code == 1
    assert [each["name"] for each in findings if each["verdict"] == "failed"] == ["allowlist"]


@pytest.mark.parametrize(
    ("symbols", "age_sec", "verdict", "shown", "fix"),
    [
        (None, 0, "failed", f"{NO_UNIVERSE}, and", PUBLISH),
        (["BTCUSDT", "ETHUSDT"], 0, "ok", "2 symbols may be opened (universe_active, ", ""),
        (["BTCUSDT"], 400, "warning", "the universe is stale: active: 40", REPAIR),
        (["BTCUSDT", "GONEUSDT"], 0, "warning", "the exchange trades 1 of them", "correct the universe"),
        (
            ["GONEUSDT"],
            0,
            "failed",
            NONE_TRADED,
            "correct the",
        ),
    ],
)
async def test_proof_judges_the_universe_as_the_service_has_it(
    deployed: Deployment, symbols: list[str] | None, age_sec: float, verdict: str, shown: str, fix: str
) -> None:
    if symbols is not None:
        publish(deployed.url, symbols, age_sec=age_sec)
    async with deployed.service(**UNIVERSE):
        code, findings = await deployed.findings_of(proof, deployed.environ, url=None, publish=True)
    assert code == (verdict == "failed")
    assert findings[0]["name"] == "1 service"
    assert findings[0]["verdict"] == verdict
    assert f", ready; {shown}" in findings[0]["detail"] or verdict == "warning"
    assert shown in findings[0]["detail"]
    assert findings[0]["fix"].startswith(fix)
    failures = {finding["name"] for finding in findings if finding["verdict"] == "failed"}
    assert failures == ({"1 service", "8 summary"} if verdict == "failed" else set())
