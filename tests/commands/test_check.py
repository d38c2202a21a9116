"""`check` beside a real Redis, the simulator and the service: what is sound, and each thing that is not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec
import pytest
import trio

from commands import main
from commands.check import check
from exchange import endpoints
from tests.commands.deployment import Capture, Deployment, Finding, deployment, findings_of, run_command
from tests.docs.documents import section, table
from tests.integration.pipeline import Pipeline, entry, executed
from tests.integration.surroundings import trade

PLANS, RESULTS = "quantum:stream:apply.plan", "quantum:stream:apply.result"
QUICK_SEC = 0.01


@pytest.fixture
async def deployed() -> AsyncIterator[Deployment]:
    async with deployment() as made:
        yield made


async def look(
    deployed: Deployment,
    capsys: Capture,
    changes: Mapping[str, str] | None = None,
    *,
    watch_sec: float = QUICK_SEC,
) -> tuple[int, list[Finding]]:
    return await findings_of(capsys, check, {**deployed.environ, **(changes or {})}, watch_sec=watch_sec)


def of(findings: list[Finding], name: str) -> list[Finding]:
    return [finding for finding in findings if finding["name"] == name]


async def test_a_sound_deployment_passes(deployed: Deployment, capsys: Capture) -> None:
    pipeline = Pipeline(deployed.url)
    async with deployed.service():
        await pipeline.ask("one", entry("BTCUSDT", "0.01"))
        order = trade(deployed.simulator.exchange, "BTCUSDT", "BUY", "0.01")
        pipeline.publish_result(executed("one", "BTCUSDT", order.order_id, "BUY", order.executed))
        await pipeline.ledger_reaches("BTCUSDT", "0.01")
        code, findings = await look(deployed, capsys, watch_sec=0.6)
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


async def test_the_document_names_every_line(deployed: Deployment, capsys: Capture) -> None:
    _, findings = await look(deployed, capsys)
    documented = table(section("docs/commands.md", "check"))
    assert {finding["name"] for finding in findings} <= documented.keys()
    assert {row[1] for row in WRONG} <= documented.keys()


async def test_it_only_reads(deployed: Deployment, capsys: Capture) -> None:
    deployed.redis.xadd(PLANS, {"plan_id": "1"})
    deployed.redis.hset("quantum:position:ledger:BTCUSDT", mapping={"last_known_amt": "1", "qty": "2"})
    deployed.redis.set("quantum:permit:p33:1", "{}")
    before, asked_before = deployed.keys(), len(deployed.simulator.exchange.requests.records())
    code, _ = await look(deployed, capsys)
    assert code == 1
    assert deployed.keys() == before
    asked = deployed.simulator.exchange.requests.records()[asked_before:]
    assert {record.method for record in asked} == {"GET"}
    assert sum(record.weight for record in asked) == 8


def no_append_only_file(deployed: Deployment) -> None:
    deployed.redis.config_set("appendonly", "no")


def appendfsync_no(deployed: Deployment) -> None:
    deployed.redis.config_set("appendfsync", "no")


def eviction(deployed: Deployment) -> None:
    deployed.redis.config_set("maxmemory-policy", "allkeys-lru")


def nearly_full(deployed: Deployment) -> None:
    used = deployed.redis.info("memory")["used_memory"]
    deployed.redis.config_set("maxmemory", int(used * 1.02))


def replica(deployed: Deployment) -> None:
    deployed.redis.execute_command("REPLICAOF", "127.0.0.1", "1")


def plans_of_a_wrong_type(deployed: Deployment) -> None:
    deployed.redis.set(PLANS, "something")


def audit_of_a_wrong_type(deployed: Deployment) -> None:
    deployed.redis.lpush("quantum:stream:permit.audit", "something")


def plans_that_are_not_read(deployed: Deployment) -> None:
    deployed.redis.xgroup_create(PLANS, "p33", "$", mkstream=True)
    deployed.redis.xadd(PLANS, {"plan_id": "1"}, id=f"{round(time.time() * 1000) - 60_000}-0")


def plans_with_ids_ahead(deployed: Deployment) -> None:
    deployed.redis.xgroup_create(PLANS, "p33", "$", mkstream=True)
    entry_id = deployed.redis.xadd(PLANS, {"plan_id": "1"}, id=f"{round(time.time() * 1000) + 1_800_000}-0")
    deployed.redis.xdel(PLANS, entry_id)


def results_that_lie_pending(deployed: Deployment) -> None:
    deployed.redis.xgroup_create(RESULTS, "p33", "0", mkstream=True)
    deployed.redis.xadd(RESULTS, {"plan_id": "1"}, id=f"{round(time.time() * 1000) - 60_000}-0")
    deployed.redis.xreadgroup("p33", "another", {RESULTS: ">"})


def plans_without_a_group(deployed: Deployment) -> None:
    deployed.redis.xadd(PLANS, {"plan_id": "1"})


def no_plans_at_all(deployed: Deployment) -> None:
    assert deployed.redis.exists(PLANS) == 0


def own_ledger(**changes: str) -> dict[str, str]:
    usual = {
        "last_known_amt": "0.5", "last_known_side": "LONG", "ledger_amt": "0.5", "ledger_side": "LONG",
        "version": "3", "source": "apply_result",
    }  # fmt: skip
    return {**usual, **changes}


def store_ledger(deployed: Deployment, fields: Mapping[str, str]) -> None:
    deployed.redis.hset("quantum:position:ledger:ETHUSDT", mapping=fields)


def ledger_with_foreign_fields(deployed: Deployment) -> None:
    store_ledger(deployed, own_ledger(synced_by="executor"))


def ledger_with_a_foreign_source(deployed: Deployment) -> None:
    store_ledger(deployed, own_ledger(source="executor_commit"))


def ledger_with_a_foreign_order(deployed: Deployment) -> None:
    store_ledger(deployed, own_ledger(last_order_id="777", last_order_time_epoch=str(time.time())))


def ledger_without_a_version(deployed: Deployment) -> None:
    store_ledger(deployed, {"last_known_amt": "0.5"})


def ledger_without_an_amount(deployed: Deployment) -> None:
    store_ledger(deployed, {"last_order_time_epoch": "1"})


def corrected_ledger(deployed: Deployment) -> None:
    store_ledger(deployed, own_ledger(last_known_amt="0.7"))


def ledger_of_a_wrong_type(deployed: Deployment) -> None:
    deployed.redis.set("quantum:position:ledger:ETHUSDT", "0.5")


def permit_without_a_decision(deployed: Deployment) -> None:
    deployed.redis.set("quantum:permit:p33:x1", '{"plan_id":"x1","issued_by":"another"}', ex=60)


def permit_that_never_expires(deployed: Deployment) -> None:
    deployed.redis.set("quantum:p33:plan:x1", "D|BOTH|close|SELL|0")
    deployed.redis.set("quantum:permit:p33:x1", '{"plan_id":"x1","issued_by":"build host"}')


def permit_of_another_plan(deployed: Deployment) -> None:
    deployed.redis.set("quantum:permit:p33:x1", '{"plan_id":"x2","issued_by":"build host"}', ex=60)


def permit_that_is_none(deployed: Deployment) -> None:
    deployed.redis.set("quantum:permit:p33:x1", "yes", ex=60)


def another_secret(deployed: Deployment) -> None:
    deployed.environ["BINANCE_API_SECRET"] = "another-secret"


def another_key(deployed: Deployment) -> None:
    deployed.environ["BINANCE_API_KEY"] = "another-key"


def key_that_may_not_read(deployed: Deployment) -> None:
    deployed.simulator.exchange.key_rights.enable_reading = False


def portfolio_margin_account(deployed: Deployment) -> None:
    deployed.simulator.exchange.key_rights.enable_portfolio_margin_trading = True


def key_that_may_withdraw(deployed: Deployment) -> None:
    deployed.simulator.exchange.key_rights.enable_withdrawals = True


def key_that_may_trade(deployed: Deployment) -> None:
    deployed.simulator.exchange.key_rights.enable_futures = True


def key_for_any_address(deployed: Deployment) -> None:
    deployed.simulator.exchange.key_rights.ip_restrict = False


def account_that_may_not_trade(deployed: Deployment) -> None:
    deployed.simulator.exchange.can_trade = False


def exchange_clock_behind(deployed: Deployment) -> None:
    deployed.simulator.exchange.faults.clock_skew_ms = -8_000


def exchange_clock_somewhat_ahead(deployed: Deployment) -> None:
    deployed.simulator.exchange.faults.clock_skew_ms = 2_000


def busy_address(deployed: Deployment) -> None:
    weights = deployed.simulator.exchange.weights
    weights.set_used(deployed.simulator.exchange.host_ms(), 1_500)


def banned_address(deployed: Deployment) -> None:
    deployed.simulator.exchange.faults.rest_faults_next = ["418"]


def remembered_ban(deployed: Deployment) -> None:
    deployed.redis.set("quantum:p33:exchange_ban_until_ms", round(time.time() * 1000) + 60_000)


def streams_refused(deployed: Deployment) -> None:
    deployed.simulator.exchange.faults.refuse_streams = True


def unlisted_symbol(deployed: Deployment) -> None:
    deployed.environ["P33_ALLOWLIST"] = "BTCUSDT,GONEUSDT"


def cooldown_of_a_wrong_type(deployed: Deployment) -> None:
    deployed.redis.hset("quantum:cooldown:last_exec_ts:BTCUSDT", mapping={"at": "1"})


def empty_cooldown(deployed: Deployment) -> None:
    deployed.redis.set("quantum:cooldown:last_exec_ts:BTCUSDT", "")


def cooldown_in_words(deployed: Deployment) -> None:
    deployed.redis.set("quantum:cooldown:last_exec_ts:BTCUSDT", "yesterday")


def hold_of_a_wrong_type(deployed: Deployment) -> None:
    deployed.redis.rpush("quantum:reconcile:hold:BTCUSDT", "1")


def open_address(deployed: Deployment) -> None:
    deployed.environ["P33_BIND"] = "0.0.0.0"  # noqa: S104 - only named, never listened on


def misspelt_setting(deployed: Deployment) -> None:
    deployed.environ["P33_COOLDWON_SEC"] = "3"


def half_a_key_pair(deployed: Deployment) -> None:
    del deployed.environ["BINANCE_API_SECRET"]


def redis_with_a_password(deployed: Deployment) -> None:
    deployed.redis.config_set("requirepass", "secret")


WRONG = [
    (no_append_only_file, "redis append-only", "failed", "off", "CONFIG SET appendonly yes"),
    (appendfsync_no, "redis append-only", "warning", "appendfsync no", "appendfsync everysec"),
    (eviction, "redis eviction", "failed", "allkeys-lru", "maxmemory-policy noeviction"),
    (nearly_full, "redis eviction", "warning", "of maxmemory is used", "raise maxmemory"),
    (replica, "redis role", "failed", "a replica of 127.0.0.1:1", "name the primary"),
    (redis_with_a_password, "redis", "failed", "the login of user default is refused", "REDIS_PASSWORD"),
    (plans_of_a_wrong_type, "stream apply.plan", "failed", "is a string, not a stream", "RENAME quantum:"),
    (audit_of_a_wrong_type, "other streams", "failed", "permit.audit is a list", "RENAME quantum:"),
    (plans_that_are_not_read, "stream apply.plan", "failed", "1 unread, 0 pending; the oldest", "status"),
    (plans_with_ids_ahead, "stream apply.plan", "warning", "s ahead of Redis's clock", "publish with XADD *"),
    (results_that_lie_pending, "stream apply.result", "warning", "given to another", "takes it over"),
    (plans_without_a_group, "stream apply.plan", "warning", "no consumer group p33", "start the service"),
    (no_plans_at_all, "stream apply.plan", "warning", "do not exist yet", "start the service"),
    (
        cooldown_of_a_wrong_type,
        "cooldowns and holds",
        "failed",
        "quantum:cooldown:last_exec_ts:BTCUSDT holds a hash, not a string",
        "redis-cli DEL quantum:cooldown:last_exec_ts:BTCUSDT",
    ),
    (empty_cooldown, "cooldowns and holds", "failed", "BTCUSDT is empty", "redis-cli DEL quantum:cooldown:"),
    (
        cooldown_in_words,
        "cooldowns and holds",
        "failed",
        "holds 'yesterday', which is no number",
        "DEL quantum:cooldown:",
    ),
    (
        hold_of_a_wrong_type,
        "cooldowns and holds",
        "failed",
        "quantum:reconcile:hold:BTCUSDT holds a list, not a string",
        "redis-cli DEL quantum:reconcile:hold:BTCUSDT",
    ),
    (ledger_with_foreign_fields, "ledger writers", "failed", "synced_by (ETHUSDT)", "other writer off"),
    (ledger_with_a_foreign_source, "ledger writers", "failed", "source=executor_commit", "other writer off"),
    (ledger_with_a_foreign_order, "ledger writers", "failed", "never booked: ETHUSDT", "other writer off"),
    (
        ledger_of_a_wrong_type,
        "ledger writers",
        "failed",
        "no hash: ETHUSDT",
        "DEL quantum:position:ledger",
    ),
    (ledger_without_a_version, "ledger writers", "warning", "no version or source: ETHUSDT", "by hand"),
    (ledger_without_an_amount, "ledger writers", "warning", "no last_known_amt", "by hand"),
    (corrected_ledger, "ledger writers", "warning", "set past ledger_amt: ETHUSDT", "by hand"),
    (permit_without_a_decision, "permit writers", "failed", "never decided their plan (x1)", "other issuer"),
    (permit_that_never_expires, "permit writers", "failed", "never expire (x1)", "other issuer"),
    (permit_of_another_plan, "permit writers", "failed", "another plan than their key", "other issuer"),
    (permit_that_is_none, "permit writers", "failed", "they cannot be read as permits", "other issuer"),
    (another_secret, "api key", "failed", "-1022", "set the pair anew"),
    (another_key, "api key", "failed", "-2015", "is it a key of this exchange"),
    (key_that_may_not_read, "api key", "failed", "-2015", "does it allow reading"),
    (portfolio_margin_account, "api key", "failed", "a portfolio margin account", "without portfolio margin"),
    (key_that_may_withdraw, "key permissions", "failed", "may withdraw", "'Enable Withdrawals' off"),
    (key_that_may_trade, "key permissions", "warning", "may also trade futures", "reading alone"),
    (key_for_any_address, "key permissions", "warning", "from any address", "bind it to"),
    (account_that_may_not_trade, "api key", "warning", "the account may not trade", "ask Binance"),
    (exchange_clock_behind, "binance clock", "failed", "s behind this host's", "set-ntp true"),
    (exchange_clock_somewhat_ahead, "binance clock", "warning", "s ahead of this host's", "set-ntp true"),
    (busy_address, "request weight", "warning", "may not suffice", "lower P33_WEIGHT_BUDGET_PER_MIN"),
    (banned_address, "binance", "failed", "418", "find out what at this address"),
    (remembered_ban, "binance", "failed", "no request was sent", "find out what at this address"),
    (streams_refused, "binance streams", "failed", "ConnectionRejected", "correct BINANCE_WS_URL"),
    (unlisted_symbol, "exchangeInfo", "warning", "not among them: GONEUSDT", "correct P33_ALLOWLIST"),
    (open_address, "HTTP address", "warning", "P33_BIND=0.0.0.0", "P33_BIND=127.0.0.1"),
    (misspelt_setting, "settings", "warning", "did you mean P33_COOLDOWN_SEC?", "correct or remove it"),
    (half_a_key_pair, "credentials", "failed", "BINANCE_API_SECRET is not set", "make a key"),
]


@pytest.mark.parametrize(
    ("break_it", "name", "verdict", "shown", "fix"), WRONG, ids=[row[0].__name__ for row in WRONG]
)
async def test_what_is_wrong_is_reported_with_a_fix(
    deployed: Deployment,
    capsys: Capture,
    break_it: Callable[[Deployment], None],
    name: str,
    verdict: str,
    shown: str,
    fix: str,
) -> None:
    break_it(deployed)
    code, findings = await look(deployed, capsys)
    matching = [finding for finding in of(findings, name) if shown in finding["detail"]]
    assert matching, of(findings, name)
    assert matching[0]["verdict"] == verdict
    assert fix in matching[0]["fix"]
    failures = {finding["name"] for finding in findings if finding["verdict"] == "failed"}
    assert failures == ({name} if verdict == "failed" else set())
    assert code == (1 if verdict == "failed" else 0)


async def test_a_remembered_ban_is_not_walked_into(deployed: Deployment, capsys: Capture) -> None:
    remembered_ban(deployed)
    await look(deployed, capsys)
    assert deployed.simulator.exchange.requests.total == 0


@pytest.mark.parametrize(
    ("lease_is_held", "new_versions", "seen"), [(True, False, True), (False, True, True), (True, True, False)]
)
async def test_another_writer_is_seen_while_it_writes_unless_it_writes_as_we_do(
    deployed: Deployment, capsys: Capture, lease_is_held: bool, new_versions: bool, seen: bool
) -> None:
    store_ledger(deployed, own_ledger())
    if lease_is_held:
        deployed.redis.set("quantum:p33:lease", "1:first")
    done = False

    async def write_on() -> None:
        number = 0
        while not done:
            number += 1
            amount = {"last_known_amt": str(number), "ledger_amt": str(number)}
            version = {"version": str(3 + number)} if new_versions else {}
            deployed.redis.hset("quantum:position:ledger:ETHUSDT", mapping={**amount, **version})
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_on)
        code, findings = await look(deployed, capsys, watch_sec=0.6)
        done = True
    shown = [each["detail"] for each in of(findings, "ledger writers") if each["verdict"] == "failed"]
    changed = [each for each in shown if each.startswith("changed during the check") and ": ETHUSDT " in each]
    assert (bool(changed), code) == ((True, 1) if seen else (False, 0))


async def test_a_booking_of_our_own_is_no_other_writer(deployed: Deployment, capsys: Capture) -> None:
    pipeline = Pipeline(deployed.url)

    async def trade_on(until: Callable[[], bool]) -> None:
        number = 0
        while not until():
            number += 1
            order = trade(deployed.simulator.exchange, "ETHUSDT", "BUY", "0.1")
            pipeline.publish_result(executed(f"t{number}", "ETHUSDT", order.order_id, "BUY", order.executed))
            await trio.sleep(0.02)

    done = False
    async with deployed.service(), trio.open_nursery() as nursery:
        nursery.start_soon(trade_on, lambda: done)
        _, findings = await look(deployed, capsys, watch_sec=1.0)
        done = True
    (finding,) = of(findings, "ledger writers")
    assert finding["verdict"] == "ok"


@pytest.mark.parametrize(
    ("signing_key", "shown"),
    [("the daemon's", None), ("another", "not signed with P33_PERMIT_SIGNING_KEY as it is set here")],
)
async def test_signatures_are_verified(
    deployed: Deployment, capsys: Capture, signing_key: str, shown: str | None
) -> None:
    async with deployed.service(P33_PERMIT_SIGNING_KEY="the daemon's"):
        await Pipeline(deployed.url).ask("one", entry("BTCUSDT", "0.01"))
        _, findings = await look(deployed, capsys, {"P33_PERMIT_SIGNING_KEY": signing_key})
    (finding,) = of(findings, "permit writers")
    assert finding["verdict"] == ("ok" if shown is None else "failed")
    assert shown is None or shown in finding["detail"]


async def test_unsigned_permits_are_reported_where_a_key_is_set(
    deployed: Deployment, capsys: Capture
) -> None:
    async with deployed.service():
        await Pipeline(deployed.url).ask("one", entry("BTCUSDT", "0.01"))
        _, findings = await look(deployed, capsys, {"P33_PERMIT_SIGNING_KEY": "a key"})
    (finding,) = of(findings, "permit writers")
    assert "they are not signed, though" in finding["detail"]


async def test_without_redis_the_rest_is_looked_at(deployed: Deployment, capsys: Capture) -> None:
    code, findings = await look(deployed, capsys, {"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert code == 1
    (finding,) = of(findings, "redis")
    assert (finding["verdict"], "REDIS_URL" in finding["fix"]) == ("failed", True)
    assert of(findings, "api key")[0]["verdict"] == "ok"
    assert of(findings, "streams, writers")[0]["verdict"] == "skipped"


async def test_without_binance_the_rest_is_looked_at(deployed: Deployment, capsys: Capture) -> None:
    code, findings = await look(deployed, capsys, {"BINANCE_REST_URL": "http://127.0.0.1:1"})
    assert code == 1
    (finding,) = of(findings, "binance")
    assert finding["verdict"] == "failed"
    assert "correct BINANCE_REST_URL" in finding["fix"]
    assert of(findings, "ledger writers")[0]["verdict"] == "ok"


async def test_a_bad_setting_is_the_finding(deployed: Deployment, capsys: Capture) -> None:
    code, findings = await look(deployed, capsys, {"P33_COOLDOWN_SEC": "soon"})
    assert code == 1
    assert findings[0]["name"] == "settings"
    assert "P33_COOLDOWN_SEC='soon' is not allowed" in findings[0]["detail"]
    assert "correct P33_COOLDOWN_SEC where it is set" in findings[0]["fix"]
    assert [finding["verdict"] for finding in findings] == ["failed", "skipped"]


async def test_an_exchange_without_account_configuration_is_asked_for_the_position_mode(
    deployed: Deployment, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = msgspec.structs.replace(endpoints.ACCOUNT_CONFIG, path="/fapi/v1/noSuchPath")
    monkeypatch.setattr(endpoints, "ACCOUNT_CONFIG", missing)
    deployed.simulator.exchange.set_hedge_mode(True)
    code, findings = await look(deployed, capsys)
    assert code == 0
    assert of(findings, "api key")[0]["detail"] == "valid; requests are signed with HMAC"
    assert of(findings, "position mode")[0]["detail"].startswith("hedge")


async def test_hedge_mode_is_reported(deployed: Deployment, capsys: Capture) -> None:
    deployed.simulator.exchange.set_hedge_mode(True)
    _, findings = await look(deployed, capsys)
    (finding,) = of(findings, "position mode")
    assert finding["detail"].startswith("hedge: a plan must name its positionSide")


async def test_a_redis_user_without_rights_is_reported(deployed: Deployment, capsys: Capture) -> None:
    deployed.redis.execute_command(
        "ACL", "SETUSER", "narrow", "on", ">pw", "~quantum:*", "+@read", "+@connection", "+time", "-scan"
    )
    path = deployed.url.removeprefix("unix://").partition("?")[0]
    code, findings = await look(deployed, capsys, {"REDIS_URL": f"unix://narrow:pw@{path}?db=0"})
    unseen = {finding["name"] for finding in findings if finding["verdict"] == "skipped"}
    assert "ledger writers" in unseen
    assert of(findings, "redis INFO")[0]["verdict"] == "failed"
    assert code == 1


async def test_printed_findings_have_a_line_each_and_no_colours_without_a_terminal(
    deployed: Deployment, capsys: Capture
) -> None:
    eviction(deployed)
    code = await run_command(check, deployed.environ, as_json=False, watch_sec=QUICK_SEC)
    out = capsys.readouterr().out
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
