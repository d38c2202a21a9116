"""`check` beside a real Redis, the simulator and the service: what is sound, and each thing that is not."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import pytest
import trio

from commands import main
from commands.check import check
from exchange import endpoints
from tests.commands.deployment import Capture, Deployment, Finding, run_command
from tests.docs.documents import section, table
from tests.integration.pipeline import PLANS, RESULTS, entry, executed
from tests.integration.surroundings import trade

LEDGER = "quantum:position:ledger:ETHUSDT"
QUICK_SEC = 0.01


async def look(
    deployed: Deployment, changes: Mapping[str, str] | None = None, *, watch_sec: float = QUICK_SEC
) -> tuple[int, list[Finding]]:
    return await deployed.findings_of(check, {**deployed.environ, **(changes or {})}, watch_sec=watch_sec)


def of(findings: list[Finding], name: str) -> list[Finding]:
    return [finding for finding in findings if finding["name"] == name]


async def test_a_sound_deployment_passes(deployed: Deployment) -> None:
    async with deployed.service():
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        order = trade(deployed.simulator.exchange, "BTCUSDT", "BUY", "0.01")
        deployed.publish_result(executed("one", "BTCUSDT", order.order_id, "BUY", order.executed))
        await deployed.ledger_reaches("BTCUSDT", "0.01")
        code, findings = await look(deployed, watch_sec=0.6)
    shown = {finding["name"]: finding for finding in findings}
    assert code == 0
    assert {name: each["verdict"] for name, each in shown.items() if each["verdict"] != "ok"} in (
        {"write access": "warning"},
        {"write access": "skipped"},  # Redis 6.2 does not show it
    )
    assert list(shown) == [
        "settings", "credentials", "redis", "redis version", "redis append-only", "redis eviction",
        "redis clock", "stream apply.plan", "stream apply.result", "other streams", "cooldowns and holds",
        "allowlist", "binance",
        "binance clock", "exchangeInfo", "api key", "key permissions", "position mode", "binance streams",
        "request weight", "ledger writers", "permit writers", "write access",
    ]  # fmt: skip
    assert shown["ledger writers"]["detail"].startswith("16 ledgers, no sign of another writer (watched for ")
    assert shown["permit writers"]["detail"].startswith("1 permits now, each with its decision, issued by ")
    assert shown["key permissions"]["detail"] == "reading and nothing else, bound to addresses"
    assert shown["stream apply.plan"]["detail"] == "1 entries, group p33: 0 unread, 0 pending"


async def test_the_document_names_every_line(deployed: Deployment) -> None:
    _, findings = await look(deployed)
    documented = table(section("docs/commands.md", "check"))
    assert {finding["name"] for finding in findings} <= documented.keys()
    assert {name for name, _ in WRONG} <= documented.keys()


async def test_it_only_reads(deployed: Deployment) -> None:
    deployed.redis.xadd(PLANS, {"plan_id": "1"})
    deployed.redis.hset("quantum:position:ledger:BTCUSDT", mapping={"last_known_amt": "1", "qty": "2"})
    deployed.redis.set("quantum:permit:p33:1", "{}")
    before, asked_before = deployed.keys(), len(deployed.simulator.exchange.requests.records())
    code, _ = await look(deployed)
    assert code == 1
    assert deployed.keys() == before
    asked = deployed.simulator.exchange.requests.records()[asked_before:]
    assert {record.method for record in asked} == {"GET"}
    assert sum(record.weight for record in asked) == 8


class OfExchange(NamedTuple):
    """An attribute of a part of the simulated exchange."""

    part: str
    name: str
    value: object


class OurLedger(NamedTuple):
    """A ledger as the service writes it, but for some fields."""

    changes: Mapping[str, str]

    def store(self, deployed: Deployment) -> None:
        usual = {
            "last_known_amt": "0.5", "last_known_side": "LONG", "ledger_amt": "0.5", "ledger_side": "LONG",
            "version": "3", "source": "apply_result",
        }  # fmt: skip
        deployed.redis.hset(LEDGER, mapping={**usual, **self.changes})


#: A command as at redis-cli, variables of the environment, what differs, or an action.
Change = str | dict[str, str] | OfExchange | OurLedger | Callable[[Deployment], object]


def make(change: Change, deployed: Deployment) -> None:
    match change:
        case str():
            deployed.redis.execute_command(*shlex.split(change))
        case dict():
            deployed.environ.update(change)
        case OfExchange(part, name, value):
            setattr(getattr(deployed.simulator.exchange, part), name, value)
        case OurLedger():
            change.store(deployed)
        case _:
            change(deployed)


def title(change: Change) -> str:
    """Return the change as the id of its case."""
    match change:
        case str():
            return change
        case OfExchange(_, name, value):
            return f"{name}={value}"
        case OurLedger(changes):
            return f"our ledger but for {' and '.join(changes)}"
        case dict():
            return " ".join(f"{name}={value}" for name, value in change.items())
        case _:
            return change.__name__


def publish_unread(deployed: Deployment, stream: str, ago_sec: int) -> str:
    """Publish an entry, with an id of that time, that the service's group has not read."""
    deployed.redis.xgroup_create(stream, "p33", "$", mkstream=True)
    entry_id = f"{round(time.time() * 1000) - ago_sec * 1000}-0"
    return str(deployed.redis.xadd(stream, {"plan_id": "1"}, id=entry_id))


def plans_that_are_not_read(deployed: Deployment) -> None:
    publish_unread(deployed, PLANS, 60)


def plans_with_ids_ahead(deployed: Deployment) -> None:
    deployed.redis.xdel(PLANS, publish_unread(deployed, PLANS, -1_800))


def results_that_lie_pending(deployed: Deployment) -> None:
    publish_unread(deployed, RESULTS, 60)
    deployed.redis.xreadgroup("p33", "another", {RESULTS: ">"})


def nearly_full(deployed: Deployment) -> None:
    used = deployed.redis.info("memory")["used_memory"]
    deployed.redis.config_set("maxmemory", int(used * 1.02))


def permit_that_never_expires(deployed: Deployment) -> None:
    deployed.redis.set("quantum:p33:plan:x1", "D|BOTH|close|SELL|0")
    deployed.redis.set("quantum:permit:p33:x1", '{"plan_id":"x1","issued_by":"build host"}')


def account_that_may_not_trade(deployed: Deployment) -> None:
    deployed.simulator.exchange.can_trade = False


def busy_address(deployed: Deployment) -> None:
    exchange = deployed.simulator.exchange
    exchange.weights.set_used(exchange.host_ms(), 1_500)


def remembered_ban(deployed: Deployment) -> None:
    deployed.redis.set("quantum:p33:exchange_ban_until_ms", round(time.time() * 1000) + 60_000)


def half_a_key_pair(deployed: Deployment) -> None:
    del deployed.environ["BINANCE_API_SECRET"]


EVICTION = "CONFIG SET maxmemory-policy allkeys-lru"
COOLDOWN, HOLD = "quantum:cooldown:last_exec_ts:BTCUSDT", "quantum:reconcile:hold:BTCUSDT"
FOREIGN_ORDER = {"last_order_id": "777", "last_order_time_epoch": str(time.time())}
UNDECIDED = """SET quantum:permit:p33:x1 '{"plan_id":"x1","issued_by":"another"}' EX 60"""
MISPLACED = """SET quantum:permit:p33:x1 '{"plan_id":"x2","issued_by":"build host"}' EX 60"""
#: By finding, whether it failed or warned: each change that is reported so, with words of detail and fix.
WRONG: dict[tuple[str, str], list[tuple[Change, str, str]]] = {
    ("redis append-only", "failed"): [("CONFIG SET appendonly no", "off", "CONFIG SET appendonly yes")],
    ("redis append-only", "warning"): [
        ("CONFIG SET appendfsync no", "appendfsync no", "appendfsync everysec")
    ],
    ("redis eviction", "failed"): [(EVICTION, "allkeys-lru", "maxmemory-policy noeviction")],
    ("redis eviction", "warning"): [(nearly_full, "of maxmemory is used", "raise maxmemory")],
    ("redis role", "failed"): [("REPLICAOF 127.0.0.1 1", "a replica of 127.0.0.1:1", "name the primary")],
    ("redis", "failed"): [
        ("CONFIG SET requirepass secret", "the login of user default is refused", "REDIS_PASSWORD"),
    ],
    ("stream apply.plan", "failed"): [
        (f"SET {PLANS} something", "is a string, not a stream", "RENAME quantum:"),
        (plans_that_are_not_read, "1 unread, 0 pending; the oldest", "status"),
    ],
    ("stream apply.plan", "warning"): [
        (plans_with_ids_ahead, "s ahead of Redis's clock", "publish with XADD *"),
        (f"XADD {PLANS} * plan_id 1", "no consumer group p33", "start the service"),
        (f"EXISTS {PLANS}", "do not exist yet", "start the service"),
    ],
    ("other streams", "failed"): [
        ("LPUSH quantum:stream:permit.audit something", "permit.audit is a list", "RENAME quantum:"),
    ],
    ("stream apply.result", "warning"): [(results_that_lie_pending, "given to another", "takes it over")],
    ("cooldowns and holds", "failed"): [
        (f"HSET {COOLDOWN} at 1", f"{COOLDOWN} holds a hash, not a string", f"redis-cli DEL {COOLDOWN}"),
        (f"SET {COOLDOWN} ''", "BTCUSDT is empty", "redis-cli DEL quantum:cooldown:"),
        (f"SET {COOLDOWN} yesterday", "holds 'yesterday', which is no number", "DEL quantum:cooldown:"),
        (f"RPUSH {HOLD} 1", f"{HOLD} holds a list, not a string", f"redis-cli DEL {HOLD}"),
    ],
    ("ledger writers", "failed"): [
        (OurLedger({"synced_by": "executor"}), "synced_by (ETHUSDT)", "other writer off"),
        (OurLedger({"source": "executor_commit"}), "source=executor_commit", "other writer off"),
        (OurLedger(FOREIGN_ORDER), "never booked: ETHUSDT", "other writer off"),
        (f"SET {LEDGER} 0.5", "no hash: ETHUSDT", "DEL quantum:position:ledger"),
    ],
    ("ledger writers", "warning"): [
        (f"HSET {LEDGER} last_known_amt 0.5", "no version or source: ETHUSDT", "by hand"),
        (f"HSET {LEDGER} last_order_time_epoch 1", "no last_known_amt", "by hand"),
        (OurLedger({"last_known_amt": "0.7"}), "set past ledger_amt: ETHUSDT", "by hand"),
    ],
    ("permit writers", "failed"): [
        (UNDECIDED, "never decided their plan (x1)", "other issuer"),
        (permit_that_never_expires, "never expire (x1)", "other issuer"),
        (MISPLACED, "another plan than their key", "other issuer"),
        ("SET quantum:permit:p33:x1 yes EX 60", "they cannot be read as permits", "other issuer"),
    ],
    ("api key", "failed"): [
        ({"BINANCE_API_SECRET": "another-secret"}, "-1022", "set the pair anew"),
        ({"BINANCE_API_KEY": "another-key"}, "-2015", "is it a key of this exchange"),
        (OfExchange("key_rights", "enable_reading", False), "-2015", "does it allow reading"),
        (
            OfExchange("key_rights", "enable_portfolio_margin_trading", True),
            "a portfolio margin account",
            "without portfolio margin",
        ),
    ],
    ("api key", "warning"): [(account_that_may_not_trade, "the account may not trade", "ask Binance")],
    ("key permissions", "failed"): [
        (OfExchange("key_rights", "enable_withdrawals", True), "may withdraw", "'Enable Withdrawals' off"),
    ],
    ("key permissions", "warning"): [
        (OfExchange("key_rights", "enable_futures", True), "may also trade futures", "reading alone"),
        (OfExchange("key_rights", "ip_restrict", False), "from any address", "bind it to"),
    ],
    ("binance clock", "failed"): [
        (OfExchange("faults", "clock_skew_ms", -8_000), "s behind this host's", "set-ntp true"),
    ],
    ("binance clock", "warning"): [
        (OfExchange("faults", "clock_skew_ms", 2_000), "s ahead of this host's", "set-ntp true"),
    ],
    ("request weight", "warning"): [(busy_address, "may not suffice", "lower P33_WEIGHT_BUDGET_PER_MIN")],
    ("binance", "failed"): [
        (OfExchange("faults", "rest_faults_next", ["418"]), "418", "find out what at this address"),
        (remembered_ban, "no request was sent", "find out what at this address"),
    ],
    ("binance streams", "failed"): [
        (OfExchange("faults", "refuse_streams", True), "ConnectionRejected", "correct BINANCE_WS_URL"),
    ],
    ("exchangeInfo", "warning"): [
        ({"P33_ALLOWLIST": "BTCUSDT,GONEUSDT"}, "not among them: GONEUSDT", "correct P33_ALLOWLIST"),
    ],
    ("HTTP address", "warning"): [({"P33_BIND": "0.0.0.0"}, "P33_BIND=0.0.0.0", "P33_BIND=127.0.0.1")],  # noqa: S104
    ("settings", "warning"): [
        ({"P33_COOLDWON_SEC": "3"}, "did you mean P33_COOLDOWN_SEC?", "correct or remove it"),
    ],
    ("credentials", "failed"): [(half_a_key_pair, "BINANCE_API_SECRET is not set", "make a key")],
}


@pytest.mark.parametrize(
    ("name", "verdict", "change", "shown", "fix"),
    [(*found, *case) for found, cases in WRONG.items() for case in cases],
    ids=[title(change) for cases in WRONG.values() for change, *_ in cases],
)
async def test_what_is_wrong_is_reported_with_a_fix(
    deployed: Deployment, name: str, verdict: str, change: Change, shown: str, fix: str
) -> None:
    make(change, deployed)
    code, findings = await look(deployed)
    matching = [finding for finding in of(findings, name) if shown in finding["detail"]]
    assert matching, of(findings, name)
    assert matching[0]["verdict"] == verdict
    assert fix in matching[0]["fix"]
    failures = {finding["name"] for finding in findings if finding["verdict"] == "failed"}
    assert failures == ({name} if verdict == "failed" else set())
    assert code == (1 if verdict == "failed" else 0)


async def test_a_remembered_ban_is_not_walked_into(deployed: Deployment) -> None:
    remembered_ban(deployed)
    await look(deployed)
    assert deployed.simulator.exchange.requests.total == 0


@pytest.mark.parametrize(
    ("lease_is_held", "new_versions", "seen"), [(True, False, True), (False, True, True), (True, True, False)]
)
async def test_another_writer_is_seen_while_it_writes_unless_it_writes_as_we_do(
    deployed: Deployment, lease_is_held: bool, new_versions: bool, seen: bool
) -> None:
    OurLedger({}).store(deployed)
    if lease_is_held:
        deployed.redis.set("quantum:p33:lease", "1:first")
    done = False

    async def write_on() -> None:
        number = 0
        while not done:
            number += 1
            amount = {"last_known_amt": str(number), "ledger_amt": str(number)}
            version = {"version": str(3 + number)} if new_versions else {}
            deployed.redis.hset(LEDGER, mapping={**amount, **version})
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_on)
        code, findings = await look(deployed, watch_sec=0.6)
        done = True
    shown = [each["detail"] for each in of(findings, "ledger writers") if each["verdict"] == "failed"]
    changed = [each for each in shown if each.startswith("changed during the check") and ": ETHUSDT " in each]
    assert (bool(changed), code) == ((True, 1) if seen else (False, 0))


async def test_a_booking_of_our_own_is_no_other_writer(deployed: Deployment) -> None:

    async def trade_on(until: Callable[[], bool]) -> None:
        number = 0
        while not until():
            number += 1
            order = trade(deployed.simulator.exchange, "ETHUSDT", "BUY", "0.1")
            deployed.publish_result(executed(f"t{number}", "ETHUSDT", order.order_id, "BUY", order.executed))
            await trio.sleep(0.02)

    done = False
    async with deployed.service(), trio.open_nursery() as nursery:
        nursery.start_soon(trade_on, lambda: done)
        _, findings = await look(deployed, watch_sec=1.0)
        done = True
    (finding,) = of(findings, "ledger writers")
    assert finding["verdict"] == "ok"


@pytest.mark.parametrize(
    ("signing_key", "shown"),
    [("the daemon's", None), ("another", "not signed with P33_PERMIT_SIGNING_KEY as it is set here")],
)
async def test_signatures_are_verified(deployed: Deployment, signing_key: str, shown: str | None) -> None:
    async with deployed.service(P33_PERMIT_SIGNING_KEY="the daemon's"):
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        _, findings = await look(deployed, {"P33_PERMIT_SIGNING_KEY": signing_key})
    (finding,) = of(findings, "permit writers")
    assert finding["verdict"] == ("ok" if shown is None else "failed")
    assert shown is None or shown in finding["detail"]


async def test_unsigned_permits_are_reported_where_a_key_is_set(deployed: Deployment) -> None:
    async with deployed.service():
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        _, findings = await look(deployed, {"P33_PERMIT_SIGNING_KEY": "a key"})
    (finding,) = of(findings, "permit writers")
    assert "they are not signed, though" in finding["detail"]


async def test_without_redis_the_rest_is_looked_at(deployed: Deployment) -> None:
    code, findings = await look(deployed, {"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert code == 1
    (finding,) = of(findings, "redis")
    assert (finding["verdict"], "REDIS_URL" in finding["fix"]) == ("failed", True)
    assert of(findings, "api key")[0]["verdict"] == "ok"
    assert of(findings, "streams, writers")[0]["verdict"] == "skipped"


async def test_without_binance_the_rest_is_looked_at(deployed: Deployment) -> None:
    code, findings = await look(deployed, {"BINANCE_REST_URL": "http://127.0.0.1:1"})
    assert code == 1
    (finding,) = of(findings, "binance")
    assert finding["verdict"] == "failed"
    assert "correct BINANCE_REST_URL" in finding["fix"]
    assert of(findings, "ledger writers")[0]["verdict"] == "ok"


async def test_a_bad_setting_is_the_finding(deployed: Deployment) -> None:
    code, findings = await look(deployed, {"P33_COOLDOWN_SEC": "soon"})
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
    code, findings = await look(deployed)
    assert code == 0
    assert of(findings, "api key")[0]["detail"] == "valid; requests are signed with HMAC"
    assert of(findings, "position mode")[0]["detail"].startswith("hedge")


async def test_hedge_mode_is_reported(deployed: Deployment) -> None:
    deployed.simulator.exchange.set_hedge_mode(True)
    _, findings = await look(deployed)
    (finding,) = of(findings, "position mode")
    assert finding["detail"].startswith("hedge: a plan must name its positionSide")


async def test_a_redis_user_without_rights_is_reported(deployed: Deployment) -> None:
    deployed.redis.execute_command(
        "ACL", "SETUSER", "narrow", "on", ">pw", "~quantum:*", "+@read", "+@connection", "+time", "-scan"
    )
    path = deployed.url.removeprefix("unix://").partition("?")[0]
    code, findings = await look(deployed, {"REDIS_URL": f"unix://narrow:pw@{path}?db=0"})
    unseen = {finding["name"] for finding in findings if finding["verdict"] == "skipped"}
    assert "ledger writers" in unseen
    assert of(findings, "redis INFO")[0]["verdict"] == "failed"
    assert code == 1


async def test_printed_findings_have_a_line_each_and_no_colours_without_a_terminal(
    deployed: Deployment,
) -> None:
    make(EVICTION, deployed)
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
