"""Checks of the roles that are switched on: that no other player of one works beside this service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from redis.exceptions import ResponseError

from actors.one_player import ACTIVE_SEC, player_text
from actors.universe_publisher.publications import another_publisher
from brain.symbols.universe_text import read_list
from commands.check.bridge_role import bridge_findings, bridge_lanes
from commands.check.findings import Finding, failed, ok, warning
from commands.check.intelligence_role import intelligence_finding
from commands.check.reconcile_role import reconcile_findings
from commands.clients.redis_reading import RedisReading, text_of
from settings import Settings
from store.bridge_values import lane_stream
from store.intelligence_keys import IntelligenceNames
from store.keys import BridgeNames, ExecutorKeys, GovernorKeys, UniverseNames

_STOP_IT = (
    "stop the other one, or switch this role off; P33_TAKE_OVER=true lets both work, which is rarely right"
)


def role_findings(redis: RedisReading, own: Settings) -> Iterator[Finding]:
    """Yield the findings on each role that is not off. Raises redis.exceptions.RedisError."""
    if own.universe != "off":
        yield _universe(redis, own)
    if own.governor != "off":
        yield from _governor(redis, own)
    if own.reconcile != "off":
        yield from reconcile_findings(redis, own)
    if own.executing == "on":
        keys = ExecutorKeys(redis.keys)
        streams = (keys.plans, keys.manual_plans) if own.manual_lane else (keys.plans,)
        for stream in streams:
            yield player_finding(redis, own, "executor", stream.key, stream.group)
    if own.intent_bridge != "off":
        yield from _bridge(redis, own)
    if own.decision_intelligence != "off":
        results = IntelligenceNames(redis.keys.prefix).results
        yield player_finding(redis, own, "P3.5", results.key, results.group)
        yield intelligence_finding(redis)


def _bridge(redis: RedisReading, own: Settings) -> Iterator[Finding]:
    if own.intent_bridge == "on":
        names = BridgeNames(redis.keys.prefix, shadow=False)
        for lane in bridge_lanes(own):
            stream = lane_stream(names, lane)
            yield player_finding(redis, own, "Intent Bridge", stream.key, stream.group)
    yield from bridge_findings(redis, own)


def _governor(redis: RedisReading, own: Settings) -> Iterator[Finding]:
    keys = GovernorKeys(redis.keys, shadow=own.governor == "shadow")
    if own.governor == "on":
        for stream in (keys.plans, keys.results):
            yield player_finding(redis, own, "Governor", stream.key, stream.group)
    kinds = {keys.reserved: "hash", keys.equity: "hash", keys.events: "stream", keys.audit: "stream"}
    wrong = [
        f"{key} is a {kind}, not a {wanted}"
        for key, wanted in kinds.items()
        if (kind := text_of(redis.client.type(key))) not in (wanted, "none")
    ]
    name = f"role governor ({own.governor})"
    if loosened := _loosened(own):
        yield warning(
            "kill score cut-off",
            f"{loosened}: the more is at risk, the larger a jump of the kill score passes",
            "turn the sign of the weight to tighten the gate instead, or leave it as the first report has it",
        )
    if wrong:
        yield failed(
            name, "; ".join(wrong), "find out who wrote it, and rename it: nothing is judged until then"
        )
    else:
        yield ok(name, "its grants, equity, events and audit have their types, or are not there yet")


def _loosened(own: Settings) -> str:
    """Return the weights of the entry gate that are above 0: heat or drawdown loosens it."""
    weights = {"GOV_Z_ENTRY_HEAT": own.z_entry_heat, "GOV_Z_ENTRY_DRAWDOWN": own.z_entry_drawdown}
    return " and ".join(f"{name}={weight:g}" for name, weight in weights.items() if weight > 0)


def player_finding(redis: RedisReading, own: Settings, role: str, stream: str, group: str) -> Finding:
    """Return whether another player of a role works on its stream. Raises redis.exceptions.RedisError."""
    name = f"role {role}"
    try:
        rows: list[dict[str, Any]] = redis.client.xinfo_consumers(stream, group)
    except ResponseError as error:
        if "NOGROUP" in str(error) or "no such key" in str(error):
            return ok(name, f"no group {group} on {stream} yet")
        raise
    ours = {own.instance, *map(text_of, redis.client.hkeys(redis.keys.players))}
    idle_sec = {text_of(row["name"]): row["idle"] / 1000 for row in rows}
    others = {each: sec for each, sec in idle_sec.items() if each not in ours and sec < ACTIVE_SEC}
    if not others:
        return ok(name, f"no other consumer of {group} on {stream} was active within {ACTIVE_SEC:g} s")
    most_active = min(others, key=lambda each: others[each])
    return _another(name, player_text(role, stream, most_active, others[most_active]), own)


def _another(name: str, detail: str, own: Settings) -> Finding:
    if own.take_over:
        return warning(name, f"{detail}; P33_TAKE_OVER is set", _STOP_IT)
    return failed(name, detail, _STOP_IT)


def _universe(redis: RedisReading, own: Settings) -> Finding:
    """Look at the lists themselves for another publisher: the universe is no stream, and has no group."""
    name = f"role universe ({own.universe})"
    keys = UniverseNames(redis.keys.prefix, shadow=own.universe == "shadow")
    lists: list[Any] = [redis.client.get(keys.active), redis.client.get(keys.last_ok)]
    now_sec, refresh_sec = redis.now_ms() / 1000, own.universe_refresh_sec
    another = another_publisher(lists, keys.active, now_sec=now_sec, refresh_sec=refresh_sec)
    if another is not None and own.universe == "on":
        return _another(name, another, own)
    listed = read_list(lists[0])
    if listed is None:
        return ok(name, f"{keys.active} is not published yet")
    meta: Mapping[bytes, bytes] = redis.client.hgetall(keys.meta)  # type: ignore[assignment]
    detail = f"{len(listed.symbols)} symbols, {now_sec - listed.asof_epoch:.0f} s old"
    if meta.get(b"stale") != b"0":
        error = text_of(meta.get(b"error", b""))
        return warning(name, f"{detail}, marked as stale: {error}", "docs/operations.md names each cause")
    return ok(name, detail)
