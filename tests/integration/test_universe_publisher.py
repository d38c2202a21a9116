"""The universe from the exchange to the allowlist, by a real daemon, Redis and the simulated exchange."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
import redis
import trio

from simulator import RunningSimulator
from simulator.symbols import ContractType
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import Pipeline, entry
from tests.integration.surroundings import SYMBOLS, environment
from tests.integration.waiting import until, until_async

ACTIVE, META = "quantum:cfg:universe:active", "quantum:cfg:universe:meta"
#: Contracts that no universe has.
OTHER_CONTRACTS: dict[str, ContractType] = {
    "BTCUSDT_261225": "CURRENT_QUARTER",
    "BTCUSDT_270326": "NEXT_QUARTER",
    "TSLAUSDT": "TRADIFI_PERPETUAL",
}
#: As of all roles; the service itself reads `cfg:universe:active`, `meta` and `last_ok`.
OF_ROLES = (
    "universe:shadow", "universe.events", "universe:volumes", "universe:closing", "p33:players",
    "quantum:governor", "quantum:executor", "quantum:intent_bridge", "quantum:p35", "p35_decision_intel",
    "xinfo", "intent_executor", "stream:executor", "apply.plan.manual", "quantum:permit:a-plan",
    "quantum:kill", "quantum:lockdown", "quantum:system", "quantum:manual_lane", "reconcile:hold_",
    "tracking",
)  # fmt: skip


@asynccontextmanager
async def daemon(url: str, simulator: RunningSimulator, **settings: str) -> AsyncIterator[str]:
    """Return where a daemon listens that takes its allowlist from the universe."""
    own = {"P33_ALLOWLIST_SOURCE": "universe", "P33_ALLOWLIST": "", "P33_ALLOWLIST_REFRESH_S": "0.5"}
    async with daemon_process(environment(url, simulator, own | settings)) as started:
        yield await started.ready()


async def asked(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
        return await client.get(path, timeout=10)


async def allowlist_has(url: str, count: int) -> bool:
    shown = (await asked(url, "/status")).json()["allowlist"]
    return bool(shown["source"] == "universe_active" and shown["count"] == count)


def symbols(pipeline: Pipeline) -> list[str] | None:
    text: Any = pipeline.redis.get(ACTIVE)
    return None if text is None else json.loads(text)["symbols"]


def closing(pipeline: Pipeline) -> dict[str, int]:
    """Return the announced ends that are published."""
    text: Any = pipeline.redis.get("quantum:cfg:universe:closing")
    ends: dict[str, int] = json.loads(text)
    return ends


def events(pipeline: Pipeline) -> list[tuple[str, str]]:
    found = pipeline.entries("quantum:stream:universe.events")
    return [(fields["event"], fields["symbol"]) for _, fields in found]


@contextmanager
def monitored(url: str) -> Iterator[list[str]]:
    """Collect the commands that Redis executes, in lower case."""
    commands: list[str] = []
    client = redis.Redis.from_url(url)
    begin: Any = client.monitor
    with begin() as monitor:
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                commands.append(str(monitor.next_command()["command"]).lower())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        yield commands
        ended.set()
        redis.Redis.from_url(url).ping()
        listener.join(5)


async def test_a_delisted_symbol_leaves_the_universe_and_the_allowlist_within_one_refresh(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    async with daemon(redis_server, simulator, P33_UNIVERSE="on", UNIVERSE_REFRESH_SEC="10") as url:
        await until(lambda: symbols(pipeline) == sorted(SYMBOLS), "the universe is published", 10)
        await until_async(lambda: allowlist_has(url, 16), "the service has read it")
        allowed = await pipeline.ask("while-listed", entry("LTCUSDT", "1"), 5)
        assert allowed["allow"], allowed
        simulator.exchange.listing.set_status("LTCUSDT", "SETTLING")
        delisted_sec = trio.current_time()
        pipeline.publish_plan("unknown", entry("NOSUCHUSDT", "1"))  # exchangeInfo is read early for it
        await until(lambda: "LTCUSDT" not in (symbols(pipeline) or []), "it is gone", 12)
        assert trio.current_time() - delisted_sec < 11
        await until_async(lambda: allowlist_has(url, 15), "the service has read it")
        assert pipeline.redis.hget(META, "stale") == "0"
        shown = (await asked(url, "/status")).json()
        assert shown["roles"]["universe"] | {"age_sec": 0} == {
            "mode": "on",
            "doing": "publishes 15 symbols for all to read",
            "symbols": 15,
            "age_sec": 0,
            "stale": False,
            "error": None,
        }
        assert shown["allowlist"]["source"] == "universe_active"
        metrics = (await asked(url, "/metrics")).text
        assert "universe_symbols 15.0" in metrics
        assert "universe_stale 0.0" in metrics
        assert 'universe_changes_total{event="DELISTED"} 1.0' in metrics
        assert ">universe<" in (await asked(url, "/")).text
        assert events(pipeline) == [("DELISTED", "LTCUSDT")]
        refused = await pipeline.ask("delisted", entry("LTCUSDT", "1"), 5)
        assert refused["reason"] == "symbol_not_in_allowlist"
        requests = simulator.exchange.requests.records(path="/fapi/v1/exchangeInfo")
        assert len(requests) <= 3


async def test_an_announced_end_is_an_event_then_the_symbol_is_gone_and_its_end_forgotten(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    """Quarterly contracts end too, and are none of the universe; nor are contracts of stocks."""
    exchange = simulator.exchange
    for symbol, contract_type in OTHER_CONTRACTS.items():
        exchange.list_symbol(
            symbol,
            step_size=Decimal("0.01"),
            tick_size=Decimal("0.01"),
            first_price=Decimal(100),
            contract_type=contract_type,
        )
    exchange.announce_end("BTCUSDT_261225", exchange.exchange_ms() + 3_600_000)
    settings = {"P33_UNIVERSE": "on", "UNIVERSE_REFRESH_SEC": "10", "UNIVERSE_DELIST_BEFORE_SEC": "10"}
    async with daemon(redis_server, simulator, **settings) as url:
        await until(lambda: symbols(pipeline) == sorted(SYMBOLS), "the universe is published", 10)
        assert closing(pipeline) == {}
        end_ms = exchange.exchange_ms() + 22_000
        exchange.announce_end("LTCUSDT", end_ms)
        await until(lambda: closing(pipeline) == {"LTCUSDT": end_ms // 1000}, "its end is published", 12)
        assert symbols(pipeline) == sorted(SYMBOLS)
        assert events(pipeline) == [("CLOSING", "LTCUSDT")]
        await until(lambda: "LTCUSDT" not in (symbols(pipeline) or []), "it is gone", 12)
        assert exchange.exchange_ms() < end_ms
        assert exchange.listing.status("LTCUSDT") == "TRADING"
        await until_async(lambda: allowlist_has(url, 15), "the service has read it")
        refused = await pipeline.ask("closing", entry("LTCUSDT", "1"), 5)
        assert refused["reason"] == "symbol_not_in_allowlist"
        await until(lambda: closing(pipeline) == {}, "its end is past", 22)
        assert exchange.listing.status("LTCUSDT") == "SETTLING"
        assert events(pipeline) == [("CLOSING", "LTCUSDT"), ("DELISTED", "LTCUSDT")]
        for symbol in OTHER_CONTRACTS:
            refused = await pipeline.ask(f"open {symbol}", entry(symbol, "1"), 5)
            assert refused["reason"] == "symbol_not_in_allowlist"


async def test_the_shadow_publishes_beside_a_service_that_others_read(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    other = json.dumps({"asof_epoch": pipeline.redis.time()[0], "symbols": ["BTCUSDT"]})
    pipeline.redis.set(ACTIVE, other)
    pipeline.redis.hset(META, mapping={"stale": "0", "count": "1"})
    async with daemon(redis_server, simulator, P33_UNIVERSE="shadow") as url:
        await until(
            lambda: pipeline.redis.exists("quantum:universe:shadow:active"), "the shadow is there", 10
        )
        assert pipeline.redis.get(ACTIVE) == other
        assert pipeline.redis.hgetall(META) == {"stale": "0", "count": "1"}
        keys = {key for key in pipeline.redis.scan_iter() if "universe" in key}
        shadow = {key for key in keys if key.startswith("quantum:universe:shadow:")}
        assert keys - shadow == {ACTIVE, META}
        shown = (await asked(url, "/status")).json()
        assert shown["roles"]["universe"]["mode"] == "shadow"
        assert shown["allowlist"]["count"] == 1


async def test_with_all_roles_off_nothing_of_them_is_read_written_counted_or_shown(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    with monitored(redis_server) as commands:
        async with daemon(redis_server, simulator) as url:
            await pipeline.ask("a-plan", entry("BTCUSDT", "0.01"), 5)
            shown = (await asked(url, "/status")).json()
            metrics = (await asked(url, "/metrics")).text
            page = (await asked(url, "/")).text
            keys = set(pipeline.redis.scan_iter())
            clients = pipeline.redis.client_list()
    assert len(commands) > 50
    assert [command for command in commands if any(name in command for name in OF_ROLES)] == []
    assert [key for key in keys if any(name in key for name in OF_ROLES)] == []
    assert "roles" not in shown
    assert [child["name"] for child in shown["tree"]["children"]] == [
        "presence", "exchange", "snapshots", "decisions", "notices",
    ]  # fmt: skip
    assert not any(
        name in channel["name"]
        for channel in shown["channels"]
        for name in ("universe", "listing", "own_orders", "open_executions")
    )
    assert [client for client in clients if "t" in client["flags"]] == []
    assert not any(begin in metrics for begin in ("universe_", "exec_", "apply_", "executor"))
    assert "executor" not in page
    assert 'id="roles"' not in page


@pytest.mark.parametrize("mode", ["on", "shadow"])
async def test_a_role_that_is_on_is_a_group_of_the_tree(
    redis_server: str, simulator: RunningSimulator, mode: str
) -> None:
    async with daemon(redis_server, simulator, P33_UNIVERSE=mode) as url:
        shown = (await asked(url, "/status")).json()
    (roles,) = [child for child in shown["tree"]["children"] if child["name"] == "roles"]
    assert [child["name"] for child in roles["children"]] == ["universe_publisher"]
