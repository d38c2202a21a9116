"""Checks of the intent bridge: keys of a wrong type, a lockdown, and exits that it does not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from brain.intents.intent import Lane
from brain.intents.stored import is_lockdown
from commands.check.findings import Finding, failed, ok, warning
from commands.clients.redis_reading import RedisReading, text_of
from settings import Settings
from store.bridge_values import lane_stream
from store.keys import BridgeNames

_PUBLISHED_WITHIN_SEC = 3_600


def bridge_lanes(own: Settings) -> tuple[Lane, ...]:
    """Return the streams that the bridge reads."""
    return (Lane.TRADE, *map(Lane, own.intent_exit_lanes))


def bridge_findings(redis: RedisReading, own: Settings) -> Iterator[Finding]:
    """Yield the findings on the intent bridge itself. Raises redis.exceptions.RedisError."""
    names = BridgeNames(redis.keys.prefix, shadow=own.intent_bridge == "shadow")
    name = f"role intent bridge ({own.intent_bridge})"
    lanes = bridge_lanes(own)
    kinds = {names.audit: "stream", names.mode: "string"}
    if not names.shadow:
        kinds[names.plans] = "stream"
    for lane in lanes:
        stream = lane_stream(names, lane)
        kinds |= {stream.key: "stream", stream.dead: "stream", stream.last_id: "string"}
    found = {key: text_of(redis.client.type(key)) for key in kinds}
    wrong = [
        f"{key} is a {found[key]}, not a {wanted}"
        for key, wanted in kinds.items()
        if found[key] not in (wanted, "none")
    ]
    if wrong:
        yield failed(
            name, "; ".join(wrong), "find out who wrote it, and rename it: until then no plan is made"
        )
    elif is_lockdown(redis.client.get(names.mode)):  # type: ignore[arg-type]
        yield warning(
            name,
            f"{names.mode} is LOCKDOWN: no plan is made of entries",
            f"the service or person that set it ends it: DEL {names.mode}",
        )
    else:
        yield ok(name, f"reads {', '.join(lanes)}; its keys have their types, or are not there yet")
    for lane in Lane:
        if lane not in lanes and (finding := _unread(redis, names, lane)) is not None:
            yield finding


def _unread(redis: RedisReading, names: BridgeNames, lane: Lane) -> Finding | None:
    """Warn of a lane that is published to, and that this bridge does not read."""
    key = lane_stream(names, lane).key
    if text_of(redis.client.type(key)) != "stream":
        return None
    newest: Any = redis.client.xrevrange(key, count=1)
    if not newest:
        return None
    age_sec = redis.now_ms() / 1000 - int(text_of(newest[0][0]).partition("-")[0]) / 1000
    if age_sec > _PUBLISHED_WITHIN_SEC:
        return None
    return warning(
        f"stream {lane}",
        f"an exit was published {max(age_sec, 0):.0f} s ago, and this bridge does not read it",
        f"fine while another service executes it with both permits; else INTENT_BRIDGE_EXIT_LANES={lane}",
    )
