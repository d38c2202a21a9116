"""`check` beside a real Redis, the simulator and the service: a sound deployment, and servers away."""

from __future__ import annotations

import msgspec
import pytest

from commands import main
from commands.check import check
from exchange import endpoints
from tests.commands.deployment import QUICK_SEC, Capture, Deployment, of, run_command
from tests.integration.pipeline import PLANS, entry
from tests.integration.surroundings import trade

KEY = "P33_PERMIT_SIGNING_KEY"


async def test_a_sound_deployment_passes(deployed: Deployment) -> None:
    async with deployed.service():
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        deployed.publish_fill("one", trade(deployed.simulator.exchange, "BTCUSDT", "BUY", "0.01"))
        await deployed.ledger_reaches("BTCUSDT", "0.01")
        code, findings = await deployed.check(watch_sec=0.6)
    shown = {finding["name"]: finding for finding in findings}
    assert code == 0
    assert {name: each["verdict"] for name, each in shown.items() if each["verdict"] != "ok"} in (
        {"write access": "warning"},
        {"write access": "skipped"},  # Redis 6.2 does not show it
    )
    assert list(shown) == [
        "settings", "credentials", "redis", "redis version", "redis append-only", "redis eviction",
        "redis clock", "stream apply.plan", "stream apply.result", "other streams", "cooldowns and holds",
        "binance",
        "binance clock", "exchangeInfo", "api key", "key permissions", "position mode", "binance streams",
        "request weight", "ledger writers", "permit writers", "write access",
    ]  # fmt: skip
    assert shown["ledger writers"]["detail"].startswith("16 ledgers, no sign of another writer (watched for ")
    assert shown["permit writers"]["detail"].startswith("1 permits now, each with its decision, issued by ")
    assert shown["key permissions"]["detail"] == "reading and nothing else, bound to addresses"
    assert shown["stream apply.plan"]["detail"] == "1 entries, group p33: 0 unread, 0 pending"


async def test_it_only_reads(deployed: Deployment) -> None:
    deployed.redis.xadd(PLANS, {"plan_id": "1"})
    deployed.redis.hset("quantum:position:ledger:BTCUSDT", mapping={"last_known_amt": "1", "qty": "2"})
    deployed.redis.set("quantum:permit:p33:1", "{}")
    before, asked_before = deployed.keys(), len(deployed.simulator.exchange.requests.records())
    code, _ = await deployed.check()
    assert code == 1
    assert deployed.keys() == before
    asked = deployed.simulator.exchange.requests.records()[asked_before:]
    assert {record.method for record in asked} == {"GET"}
    assert sum(record.weight for record in asked) == 8


@pytest.mark.parametrize(
    ("settings", "key", "shown"),
    [
        ({KEY: "the daemon's"}, "the daemon's", None),
        ({KEY: "the daemon's"}, "another", "not signed with P33_PERMIT_SIGNING_KEY as it is set here"),
        ({}, "a key", "they are not signed, though"),
    ],
    ids=["the daemon's key", "another key", "unsigned permits"],
)
async def test_signatures_are_verified_where_a_key_is_set(
    deployed: Deployment, settings: dict[str, str], key: str, shown: str | None
) -> None:
    async with deployed.service(**settings):
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        _, findings = await deployed.check({KEY: key})
    (finding,) = of(findings, "permit writers")
    assert finding["verdict"] == ("ok" if shown is None else "failed")
    assert shown is None or shown in finding["detail"]


async def test_without_redis_the_rest_is_looked_at(deployed: Deployment) -> None:
    code, findings = await deployed.check({"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert code == 1
    (finding,) = of(findings, "redis")
    assert (finding["verdict"], "REDIS_URL" in finding["fix"]) == ("failed", True)
    assert of(findings, "api key")[0]["verdict"] == "ok"
    assert of(findings, "streams, writers")[0]["verdict"] == "skipped"


async def test_without_binance_the_rest_is_looked_at(deployed: Deployment) -> None:
    code, findings = await deployed.check({"BINANCE_REST_URL": "http://127.0.0.1:1"})
    assert code == 1
    (finding,) = of(findings, "binance")
    assert (finding["verdict"], "correct BINANCE_REST_URL" in finding["fix"]) == ("failed", True)
    assert of(findings, "ledger writers")[0]["verdict"] == "ok"


async def test_a_bad_setting_is_the_finding(deployed: Deployment) -> None:
    code, findings = await deployed.check({"P33_COOLDOWN_SEC": "soon"})
    assert code == 1
    assert findings[0]["name"] == "settings"
    assert "P33_COOLDOWN_SEC='soon' is not allowed" in findings[0]["detail"]
    assert "correct P33_COOLDOWN_SEC where it is set" in findings[0]["fix"]
    assert [finding["verdict"] for finding in findings] == ["failed", "skipped"]


async def test_an_exchange_without_account_configuration_is_asked_for_the_position_mode(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = msgspec.structs.replace(endpoints.ACCOUNT_CONFIG, path="/fapi/v1/noSuchPath")
    monkeypatch.setattr(endpoints, "ACCOUNT_CONFIG", missing)
    deployed.simulator.exchange.set_hedge_mode(True)
    code, findings = await deployed.check()
    assert code == 0
    assert of(findings, "api key")[0]["detail"] == "valid; requests are signed with HMAC"
    assert of(findings, "position mode")[0]["detail"].startswith("hedge")


async def test_hedge_mode_is_reported(deployed: Deployment) -> None:
    deployed.simulator.exchange.set_hedge_mode(True)
    _, findings = await deployed.check()
    (finding,) = of(findings, "position mode")
    assert finding["detail"].startswith("hedge: a plan must name its positionSide")


async def test_a_redis_user_without_rights_is_reported(deployed: Deployment) -> None:
    deployed.redis.execute_command(
        "ACL", "SETUSER", "narrow", "on", ">pw", "~quantum:*", "+@read", "+@connection", "+time", "-scan"
    )
    path = deployed.url.removeprefix("unix://").partition("?")[0]
    code, findings = await deployed.check({"REDIS_URL": f"unix://narrow:pw@{path}?db=0"})
    unseen = {finding["name"] for finding in findings if finding["verdict"] == "skipped"}
    assert "ledger writers" in unseen
    assert of(findings, "redis INFO")[0]["verdict"] == "failed"
    assert code == 1


async def test_printed_findings_have_a_line_each_and_no_colours_without_a_terminal(
    deployed: Deployment,
) -> None:
    deployed.redis.config_set("maxmemory-policy", "allkeys-lru")
    code = await run_command(check, deployed.environ, as_json=False, watch_sec=QUICK_SEC)
    out = deployed.capsys.readouterr().out
    assert code == 1
    assert "\x1b" not in out
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("FAIL  redis eviction "))
    assert lines[at + 1].split() == [
        "fix:", "redis-cli", "CONFIG", "SET", "maxmemory-policy", "noeviction,", "then", "CONFIG", "REWRITE",
    ]  # fmt: skip
    assert lines[-1].endswith("1 failed") or ", 1 failed" in lines[-1]


def test_the_command_line_reaches_it(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for name in ("REDIS_URL", "REDIS_HOST", "BINANCE_REST_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("P33_SHARDS", "none")
    assert main(["check", "--watch", "0.1"]) == 1
    assert "P33_SHARDS='none' is not allowed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["check", "--watch", "0"])
