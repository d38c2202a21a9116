"""deploy/redis/users.acl: each user can do its work, and nothing else."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trio

import store
from permit_gate import GOVERNOR, P33, GateRules, Granted, PermitGate
from simulator import running
from tests.deploy.guarded_redis import DEPLOY, GuardedRedis, guarded_redis
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import EVENTS, PLANS, RESULTS, Pipeline, entry, full_close
from tests.integration.surroundings import environment, is_ready, is_unready, small_exchange, trade
from tests.integration.waiting import until

pytestmark = pytest.mark.system_tools

#: What these tests are about does not hang on how fast the machine is.
PATIENT = {"P33_PLAN_MAX_AGE_SEC": "60", "P33_STALE_THRESHOLD_SEC": "25"}
WITHIN_SEC = 20.0
SIGNING_KEY = "a key that only service and gate know"
_CALLED = re.compile(r"redis\.p?call\('([A-Z]+)'")
_SENT = re.compile(r"""(?:command\(\s*|\(\s*\n?\s*)"([A-Z]{3,})",""")


@pytest.fixture
def guarded(system_redis: Path, tmp_path: Path) -> Iterator[GuardedRedis]:
    with guarded_redis(system_redis, tmp_path) as server:
        yield server


def refused_by_rights(server: GuardedRedis) -> list[dict[str, Any]]:
    """What Redis refused for want of a right. A client may say what library it is, or not."""
    return [line for line in server.admin().acl_log() if line["object"] != "client|setinfo"]


def publish_universe(admin: Any, symbols: list[str]) -> None:
    listed = json.dumps({"asof_epoch": int(time.time()), "symbols": symbols})
    admin.set("quantum:cfg:universe:active", listed)
    admin.set("quantum:cfg:universe:last_ok", listed)
    meta = {"stale": "0", "count": len(symbols), "asof_epoch": int(time.time()), "error": ""}
    admin.hset("quantum:cfg:universe:meta", mapping=meta)


def governor_agrees(admin: Any, plan_id: str, symbol: str) -> None:
    text = json.dumps({"plan_id": plan_id, "symbol": symbol, "granted": True})
    admin.set(f"quantum:permit:{plan_id}", text, ex=60)


async def pass_the_gate(server: GuardedRedis, plan_id: str, symbol: str) -> Granted:
    """Consume both permits, as an executor that may do nothing else."""
    rules = GateRules(consumer="executor", signing_key=SIGNING_KEY)

    def acquire() -> object:
        with PermitGate(server.url("p33-gate"), rules) as gate:
            return gate.acquire(plan_id, symbol, [GOVERNOR, P33], timeout_sec=WITHIN_SEC)

    answer = await trio.to_thread.run_sync(acquire)
    assert isinstance(answer, Granted), answer
    return answer


async def test_the_service_decides_books_and_takes_over_with_its_own_rights_alone(
    guarded: GuardedRedis,
) -> None:
    admin = guarded.admin()
    publish_universe(admin, ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
    admin.xadd("quantum:stream:trade.intent", {"symbol": "LINKUSDT"})
    pipeline = Pipeline(guarded.url("test-admin"))
    async with running(small_exchange()) as simulator:
        trade(simulator.exchange, "SOLUSDT", "BUY", "3")  # to be adopted
        settings = {
            "P33_ALLOWLIST_SOURCE": "universe",
            "P33_PERMIT_SIGNING_KEY": SIGNING_KEY,
            **PATIENT,
        }
        environ = environment(guarded.url("p33"), simulator, settings)
        admin.acl_log_reset()
        async with daemon_process(environ) as first:
            await first.ready()
            # Opened, through the gate, executed, booked.
            governor_agrees(admin, "open", "BTCUSDT")
            pipeline.publish_plan("open", entry("BTCUSDT", "0.05"))
            assert (await pass_the_gate(guarded, "open", "BTCUSDT")).terms
            pipeline.publish_fill("open", trade(simulator.exchange, "BTCUSDT", "BUY", "0.05"))
            await pipeline.ledger_reaches("BTCUSDT", "0.05", WITHIN_SEC)
            # Refused for a hold; skipped; unreadable; a result that cannot be booked; a release.
            admin.set("quantum:reconcile:hold:SOLUSDT", "1", ex=300)
            answer = await pipeline.ask("held", full_close("SOLUSDT"), WITHIN_SEC)
            assert answer["reason"] == "reconcile_hold_active"
            admin.set("quantum:cooldown:last_exec_ts:ETHUSDT", str(int(time.time() * 1000)))
            await pipeline.ask("second", entry("ETHUSDT", "0.5"), WITHIN_SEC)
            pipeline.publish_result({"plan_id": "second", "symbol": "ETHUSDT", "executed": "False"})
            pipeline.publish_plan("skipped", entry("ETHUSDT", "0.5") | {"decision": "SKIP"})
            pipeline.publish(PLANS, {"symbol": "ETHUSDT"})
            pipeline.publish_result({"plan_id": "x", "symbol": "ETHUSDT", "executed": "True"})
            # Something that is no result of ours.
            trade(simulator.exchange, "LTCUSDT", "BUY", "1")
            await pipeline.nothing_pends(PLANS, RESULTS, within_sec=WITHIN_SEC)
            events = {fields["event"] for _, fields in pipeline.entries(EVENTS)}
            assert "LEDGER_ADOPTED" in events
            # What a dead instance was given and did not answer.
            first.process.send_signal(signal.SIGSTOP)
            await until(lambda: not admin.exists("quantum:p33:lease"), "the lease ends", WITHIN_SEC)
            pipeline.publish_plan("close", full_close("BTCUSDT"))
            first.process.kill()
            async with daemon_process(environ | {"P33_INSTANCE": "second"}) as second:
                url = await second.ready()
                assert (await pipeline.permit("close", WITHIN_SEC))["plan_id"] == "close"
                await pipeline.nothing_pends(PLANS, RESULTS, within_sec=WITHIN_SEC)
                await look_at_everything(url)
                assert await second.stop(signal.SIGTERM) == 0
        assert refused_by_rights(guarded) == []


@pytest.mark.parametrize("right", [" +xadd ", " +eval +evalsha ", " ~quantum:permit:p33:* "])
async def test_a_right_that_an_acl_reload_takes_is_waited_for_by_name_and_used_once_it_is_back(
    guarded: GuardedRedis, right: str
) -> None:
    rules = guarded.acl.read_text()
    service, _, others = rules.partition("\n")
    assert right in service
    pipeline = Pipeline(guarded.url("test-admin"))
    async with running(small_exchange()) as simulator:
        trade(simulator.exchange, "SOLUSDT", "BUY", "3")
        async with daemon_process(environment(guarded.url("p33"), simulator, PATIENT)) as daemon:
            url = await daemon.ready()
            guarded.reload("\n".join([service.replace(right, " "), others]))
            pipeline.publish_plan("during", full_close("SOLUSDT"))
            named = await is_unready(url, "Redis at", "user p33 has no right to", within_sec=WITHIN_SEC)
            assert str(guarded.socket) in str(named.reasons)
            await until(lambda: "user p33 has no right to" in daemon.output, "the log names it", WITHIN_SEC)
            # Longer than the process lived before it gave up.
            await trio.sleep(3)
            assert daemon.alive
            assert pipeline.permit_now("during") is None
            guarded.reload(rules)
            # Redis may end all connections when it loads its users again.
            pipeline = Pipeline(guarded.url("test-admin"))
            assert (await pipeline.permit("during", WITHIN_SEC))["allow"]
            await is_ready(lambda: url, within_sec=WITHIN_SEC)
            assert "Actor failed" not in daemon.output


async def test_an_operators_commands_need_no_more_than_the_operators_rights(guarded: GuardedRedis) -> None:
    pipeline = Pipeline(guarded.url("test-admin"))
    async with running(small_exchange()) as simulator:
        environ = environment(guarded.url("p33"), simulator, PATIENT)
        async with daemon_process(environ) as daemon:
            url = await daemon.ready()
            await pipeline.ask("asked-about", entry("BTCUSDT", "0.05"), WITHIN_SEC)
            guarded.admin().acl_log_reset()
            own = environ | {
                "REDIS_URL": guarded.url("p33-operator"),
                "P33_METRICS_PORT": url.rpartition(":")[2],
            }
            for command in ("check", "proof", "explain asked-about", "replay", "status --once"):
                done = await trio.run_process(
                    [sys.executable, "-m", "commands", *command.split(" ")],
                    cwd=DEPLOY.parent,
                    env=own,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                )
                said = (done.stdout + done.stderr).decode()
                assert done.returncode == 0, said
                assert refused_by_rights(guarded) == [], f"{command}: {said}"


async def look_at_everything(url: str) -> None:
    """What an operator's browser asks for; some of it reads Redis."""
    import httpx

    async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
        found = ("/decisions", "/decisions.json", "/symbols/BTCUSDT")
        for path in ("/", "/status", "/metrics", "/history", "/waiting", *found):
            assert (await client.get(path, follow_redirects=True, timeout=10)).status_code == 200
        for text in ("during", "87654321", "1760000000000-0"):
            for path in (f"/plans/{text}", f"/find?q={text}"):
                answer = await client.get(path, timeout=10)
                assert "cannot be read" not in answer.text


def commands_of(server: GuardedRedis, user: str) -> set[str]:
    """All commands that the user may use on anything."""
    rights = server.admin().acl_getuser(user)
    granted = " ".join(rights["commands"]) + " ".join(map(str, rights["selectors"]))
    return {name.upper() for name in re.findall(r"\+([a-z]+)", granted)}


def test_with_all_roles_it_may_use_the_commands_that_its_code_names_and_no_others(
    system_redis: Path, tmp_path: Path
) -> None:
    folder = Path(store.__file__).parent
    called = {name for lua in folder.glob("scripts/*.lua") for name in _CALLED.findall(lua.read_text())}
    sent = {name for code in folder.glob("**/*.py") for name in _SENT.findall(code.read_text())}
    assert {"HSET", "XADD", "XACK"} <= called
    assert {"XREADGROUP", "INFO", "MGET"} <= sent
    # By redis-py itself: scripts, whether the connection lives, which database.
    # BLOCK is no command, HELLO needs no right, SENTINEL is for Sentinels.
    by_itself, without_right = {"EVAL", "EVALSHA", "PING", "SELECT"}, {"BLOCK", "HELLO", "SENTINEL"}
    roles = ["universe", "executor", "governor", "reconcile", "decision_intelligence"]
    with guarded_redis(system_redis, tmp_path, roles=roles) as guarded:
        assert commands_of(guarded, "p33") == (called | sent | by_itself) - without_right


#: What a user may not do, as at redis-cli.
REFUSED = {
    "p33": [
        "FLUSHALL",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET *",
        "CONFIG SET appendonly no",
        "ACL LIST",
        "SHUTDOWN",
        "SAVE",
        "SCRIPT FLUSH",
        "CLIENT KILL TYPE normal",
        "REPLICAOF NO ONE",
        "SUBSCRIBE anything",
        # Other services' work: plans, intents, the Governor's permits and switches, and the executor's.
        "XADD quantum:stream:apply.result * plan_id forged",
        "SET quantum:reconcile:hold:BTCUSDT 1",
        "DEL quantum:reconcile:hold:BTCUSDT",
        "SET quantum:cooldown:last_exec_ts:BTCUSDT 0",
        "DEL quantum:permit:a-governors",
        "GET quantum:executor:order:a-plan",
        "XADD quantum:stream:apply.plan * plan_id forged",
        "XADD quantum:stream:apply.plan.manual * plan_id forged",
        "XADD quantum:stream:trade.intent * symbol BTCUSDT",
        "XTRIM quantum:stream:permit.audit MAXLEN 0",
        "DEL quantum:stream:permit.audit",
        "XTRIM quantum:stream:apply.result MAXLEN 0",
        "SET quantum:governor:trading_state ACTIVE",
        "SET quantum:governor:block:forged {}",
        "DEL quantum:kill",
        "SET quantum:manual_lane:enabled 1",
        "DEL quantum:cooldown:last_exec_ts:BTCUSDT",
        "SET quantum:reconcile:state:BTCUSDT OK",
        "SET quantum:cfg:universe:active {}",
        "SET quantum:permit:forged {}",
        "DEL quantum:permit_gate:consumed:again",
        # Another account's.
        "GET other:p33:lease",
        "SET other:permit:p33:x {}",
        "EVAL return(redis.call('SET','quantum:permit:forged','{}')) 0",
    ],
    # It consumes permits and does not write them.
    "p33-gate": [
        "SET quantum:permit:p33:forged {}",
        "SET quantum:permit:forged {}",
        "EVAL return(redis.call('SET','quantum:permit:p33:forged','{}')) 0",
        "SET quantum:reconcile:hold:BTCUSDT 1",
        "DEL quantum:reconcile:hold:BTCUSDT",
        "DEL quantum:permit_gate:consumed:again",
        "HSET quantum:position:ledger:BTCUSDT last_known_amt 0",
        "XADD quantum:stream:apply.plan * plan_id forged",
        "GET quantum:p33:lease",
        "FLUSHALL",
        "SCAN 0",
    ],
    # Its commands read and change nothing.
    "p33-operator": [
        "SET quantum:permit:p33:forged {}",
        "DEL quantum:permit:p33:x",
        "HSET quantum:position:ledger:BTCUSDT last_known_amt 0",
        "XADD quantum:stream:apply.result * plan_id forged",
        "DEL quantum:stream:permit.audit",
        "GET other:p33:lease",
        "CONFIG SET appendonly no",
        "ACL SETUSER p33 nopass",
        "EVAL return(1) 0",
        "FLUSHALL",
        "KEYS *",
    ],
}


@pytest.mark.parametrize(
    ("user", "command"), [(user, command) for user, commands in REFUSED.items() for command in commands]
)
def test_a_user_may_do_its_work_and_nothing_else(guarded: GuardedRedis, user: str, command: str) -> None:
    client = guarded.client(user)
    with pytest.raises(redis.ResponseError):
        client.execute_command(*command.split(" "))
    assert [line["username"] for line in refused_by_rights(guarded)] == [user]
    assert guarded.admin().dbsize() == 0
