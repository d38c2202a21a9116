"""A running service that shows each of its interfaces once, and what Redis, HTTP and the log then hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import structlog
import trio

from commands.clients.embedded_redis import private_redis
from permit_gate import GOVERNOR, P33, GateRules, PermitGate
from simulator import MarketOrder, RunningSimulator, running
from tests.integration.pipeline import AUDIT, EVENTS, PLANS, RESULTS, Pipeline, entry, full_close
from tests.integration.service_in_process import ServiceInProcess, running_service
from tests.integration.surroundings import cut_stream, small_exchange, trade
from tests.integration.waiting import until

_PATIENT_SEC = 20.0
_SIGNING_KEY = "of-the-permits-and-nothing-else"
_UNKNOWN = {"symbol": "SOLUSDT", "executed": "False", "error": "APIError(code=-1007): Timeout"}
#: A fill counts as unexplained after little more than a second.
_QUICK = {
    "P33_AUDIT_SEC": "0.5",
    "P33_STREAM_PROOF_SEC": "0.2",
    "P33_STALE_THRESHOLD_SEC": "1",
    "P33_EXECUTION_GRACE_SEC": "1.2",
    "P33_PLAN_MAX_AGE_SEC": "20",
}


class Observed(msgspec.Struct):
    """Keys by name with their types; hashes, stream entries and permits as stored; the log's lines."""

    keys: dict[str, str]
    snapshots: list[dict[str, str]]
    ledgers: list[dict[str, str]]
    permits: list[dict[str, Any]]
    audit: list[dict[str, str]]
    events: list[dict[str, str]]
    #: Each dead letter, and the names of the fields of the entry that it was made of.
    dead: list[tuple[dict[str, str], set[str]]]
    log: list[str]
    metrics: str
    status: dict[str, Any]


def observe(*, hedge_mode: bool) -> Observed:
    """Run a service: in one-way mode with signed permits, or in hedge mode and reading symbols one by one."""
    return trio.run(_observe, hedge_mode)


async def _observe(hedge_mode: bool) -> Observed:
    with _info_lines() as log:
        async with private_redis() as url, running(small_exchange()) as simulator:
            pipeline = Pipeline(url)
            permits: list[dict[str, Any]] = []
            dead: list[tuple[dict[str, str], set[str]]] = []
            if hedge_mode:
                simulator.exchange.set_hedge_mode(True)
            else:
                trade(simulator.exchange, "ADAUSDT", "BUY", "100")
            settings = {"P33_FETCH_MODE": "per_symbol", "P33_MIN_TOP_K": "0"} if hedge_mode else _QUICK
            signing = {} if hedge_mode else {"P33_PERMIT_SIGNING_KEY": _SIGNING_KEY}
            async with running_service(url, simulator, **settings, **signing) as service:
                if hedge_mode:
                    await _trade_hedged(service, pipeline, simulator, permits)
                else:
                    await _trade_one_way(url, pipeline, simulator, permits)
                    dead = await _publish_what_is_unusable(pipeline)
                    await until(
                        lambda: any(
                            fields["event"] == "LEDGER_DIVERGED" for _, fields in pipeline.entries(EVENTS)
                        ),
                        "a fill that no result explains is reported",
                        _PATIENT_SEC,
                    )
                async with httpx.AsyncClient(trust_env=False) as client:
                    metrics = (await client.get(f"{service.url}/metrics", timeout=10)).text
                    status = (await client.get(f"{service.url}/status", timeout=10)).json()
                keys = {key: pipeline.redis.type(key) for key in pipeline.redis.scan_iter()}
                snapshots = _hashes(pipeline, keys, "quantum:position:snapshot:")
                ledgers = _hashes(pipeline, keys, "quantum:position:ledger:")
            audit, events = ([fields for _, fields in pipeline.entries(name)] for name in (AUDIT, EVENTS))
    return Observed(keys, snapshots, ledgers, permits, audit, events, dead, log, metrics, status)


async def _trade_one_way(
    url: str, pipeline: Pipeline, simulator: RunningSimulator, permits: list[dict[str, Any]]
) -> None:
    """An open, an add that is denied, a close, an unknown outcome, and a fill of another trader's order."""
    exchange = simulator.exchange
    pipeline.redis.set("quantum:permit:open", json.dumps({"plan_id": "open", "granted": True}))
    permits.append(await pipeline.ask("open", entry("BTCUSDT", "0.05"), _PATIENT_SEC))
    with PermitGate(url, GateRules(signing_key=_SIGNING_KEY)) as gate:
        await trio.to_thread.run_sync(gate.acquire, "open", "BTCUSDT", [GOVERNOR, P33])
    permits.append(await pipeline.ask("denied", entry("BTCUSDT", "0.05"), _PATIENT_SEC))
    pipeline.publish_fill("open", trade(exchange, "BTCUSDT", "BUY", "0.05"))
    await pipeline.ledger_reaches("BTCUSDT", "0.05", _PATIENT_SEC)
    permits.append(await pipeline.ask("close", full_close("BTCUSDT"), _PATIENT_SEC))
    permits.append(await pipeline.ask("lost", entry("SOLUSDT", "1"), _PATIENT_SEC))
    pipeline.publish_result({"plan_id": "lost", **_UNKNOWN})
    await pipeline.nothing_pends(RESULTS, within_sec=_PATIENT_SEC)
    trade(exchange, "XRPUSDT", "BUY", "100")


async def _publish_what_is_unusable(pipeline: Pipeline) -> list[tuple[dict[str, str], set[str]]]:
    plan = {"symbol": "BTCUSDT", "decision": "EXECUTE", "error": "the publisher's own"}
    result = {"plan_id": "x", "symbol": "BTCUSDT", "executed": "True", "order_id": "9", "filled_qty": "1"}
    pipeline.publish(PLANS, plan)
    pipeline.publish_result(result)
    await pipeline.nothing_pends(PLANS, RESULTS, within_sec=_PATIENT_SEC)
    (dead_plan,), (dead_result,) = pipeline.dead_letters(PLANS), pipeline.dead_letters(RESULTS)
    return [(dead_plan, set(plan)), (dead_result, set(result))]


async def _trade_hedged(
    service: ServiceInProcess,
    pipeline: Pipeline,
    simulator: RunningSimulator,
    permits: list[dict[str, Any]],
) -> None:
    """An open; without the stream an open that needs a read, and a deny because a ban prevents the read."""
    exchange = simulator.exchange
    fields = entry("ETHUSDT", "0.5") | {"positionSide": "LONG"}
    permits.append(await pipeline.ask("open", fields, _PATIENT_SEC))
    order = MarketOrder(symbol="ETHUSDT", side="BUY", quantity=Decimal("0.5"), position_side="LONG")
    pipeline.publish_fill("open", exchange.place_order(order))
    await pipeline.ledger_reaches("ETHUSDT", "0.5", _PATIENT_SEC)
    await until(lambda: pipeline.snapshot("ETHUSDT").get("long_amt"), "a snapshot with legs", _PATIENT_SEC)
    await cut_stream(simulator)
    await until(lambda: service.channels.book.trust_lost_at, "the stream is lost", _PATIENT_SEC)
    fields = entry("SOLUSDT", "1") | {"positionSide": "LONG"}
    permits.append(await pipeline.ask("unread", fields, _PATIENT_SEC))
    exchange.weights.ban(exchange.exchange_ms(), 60_000)
    fields = entry("DOTUSDT", "1") | {"positionSide": "LONG"}
    permits.append(await pipeline.ask("denied", fields, _PATIENT_SEC))
    key = "quantum:p33:exchange_ban_until_ms"
    await until(lambda: pipeline.redis.exists(key), "the ban is remembered", _PATIENT_SEC)


def _hashes(pipeline: Pipeline, keys: Mapping[str, str], begin: str) -> list[dict[str, str]]:
    return [pipeline.redis.hgetall(key) for key in keys if key.startswith(begin)]


@contextmanager
def _info_lines() -> Iterator[list[str]]:
    """The INFO lines that are logged, as the daemon would write them, without time and level."""
    lines: list[str] = []

    def keep(_: object, level: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        if level == "info":
            lines.extend(str(event["event"]).splitlines())
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[keep])
    try:
        yield lines
    finally:
        structlog.configure(processors=before)


def matching(template: str, value: str, **others: str) -> re.Pattern[str]:
    """A pattern in which each `<name>` stands for its regular expression, `value` unless it has one."""
    parts = re.split(r"<([^>]+)>", template)
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = [others.get(name, value) for name in parts[1::2]]
    return re.compile("".join(parts))
