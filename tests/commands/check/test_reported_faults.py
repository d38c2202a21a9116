"""Each thing that `check` finds wrong, with its fix: beside a real Redis, the simulator and the service."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from functools import reduce
from typing import NamedTuple

import pytest
import trio

from tests.commands.deployment import Deployment, of
from tests.docs.documents import section, table
from tests.integration.pipeline import PLANS, RESULTS
from tests.integration.surroundings import trade

LEDGER = "quantum:position:ledger:ETHUSDT"


class OfExchange(NamedTuple):
    """An attribute of the simulated exchange, or behind a dot of a part of it."""

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
        case OfExchange(name, value):
            *parts, last = name.split(".")
            setattr(reduce(getattr, parts, deployed.simulator.exchange), last, value)
        case OurLedger():
            change.store(deployed)
        case _:
            change(deployed)


def title(change: Change) -> str:
    """Return the change as the id of its case."""
    match change:
        case str():
            return change
        case OfExchange(name, value):
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
        (OfExchange("key_rights.enable_reading", False), "-2015", "does it allow reading"),
        (
            OfExchange("key_rights.enable_portfolio_margin_trading", True),
            "a portfolio margin account",
            "without portfolio margin",
        ),
    ],
    ("api key", "warning"): [(OfExchange("can_trade", False), "the account may not trade", "ask Binance")],
    ("key permissions", "failed"): [
        (OfExchange("key_rights.enable_withdrawals", True), "may withdraw", "'Enable Withdrawals' off"),
    ],
    ("key permissions", "warning"): [
        (OfExchange("key_rights.enable_futures", True), "may also trade futures", "reading alone"),
        (OfExchange("key_rights.ip_restrict", False), "from any address", "bind it to"),
    ],
    ("binance clock", "failed"): [
        (OfExchange("faults.clock_skew_ms", -8_000), "s behind this host's", "set-ntp true"),
    ],
    ("binance clock", "warning"): [
        (OfExchange("faults.clock_skew_ms", 2_000), "s ahead of this host's", "set-ntp true"),
    ],
    ("request weight", "warning"): [(busy_address, "may not suffice", "lower P33_WEIGHT_BUDGET_PER_MIN")],
    ("binance", "failed"): [
        (OfExchange("faults.rest_faults_next", ["418"]), "418", "find out what at this address"),
        (remembered_ban, "no request was sent", "find out what at this address"),
    ],
    ("binance streams", "failed"): [
        (OfExchange("faults.refuse_streams", True), "ConnectionRejected", "correct BINANCE_WS_URL"),
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
async def test_each_fault_is_reported_with_a_fix(
    deployed: Deployment, name: str, verdict: str, change: Change, shown: str, fix: str
) -> None:
    make(change, deployed)
    code, findings = await deployed.check()
    matching = [finding for finding in of(findings, name) if shown in finding["detail"]]
    assert matching, of(findings, name)
    assert matching[0]["verdict"] == verdict
    assert fix in matching[0]["fix"]
    failures = {finding["name"] for finding in findings if finding["verdict"] == "failed"}
    assert failures == ({name} if verdict == "failed" else set())
    assert code == (1 if verdict == "failed" else 0)


async def test_a_remembered_ban_is_not_walked_into(deployed: Deployment) -> None:
    remembered_ban(deployed)
    await deployed.check()
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
        code, findings = await deployed.check(watch_sec=0.6)
        done = True
    shown = [each["detail"] for each in of(findings, "ledger writers") if each["verdict"] == "failed"]
    changed = [each for each in shown if each.startswith("changed during the check") and ": ETHUSDT " in each]
    assert (bool(changed), code) == ((True, 1) if seen else (False, 0))


async def test_a_booking_of_our_own_is_no_other_writer(deployed: Deployment) -> None:

    async def trade_on(until: Callable[[], bool]) -> None:
        number = 0
        while not until():
            number += 1
            deployed.publish_fill(f"t{number}", trade(deployed.simulator.exchange, "ETHUSDT", "BUY", "0.1"))
            await trio.sleep(0.02)

    done = False
    async with deployed.service(), trio.open_nursery() as nursery:
        nursery.start_soon(trade_on, lambda: done)
        _, findings = await deployed.check(watch_sec=1.0)
        done = True
    (finding,) = of(findings, "ledger writers")
    assert finding["verdict"] == "ok"


async def test_the_document_names_every_line(deployed: Deployment) -> None:
    _, findings = await deployed.check()
    documented = table(section("docs/commands.md", "check"))
    assert {finding["name"] for finding in findings} <= documented.keys()
    assert {name for name, _ in WRONG} <= documented.keys()
