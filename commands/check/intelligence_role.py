"""Checks of decision intelligence: keys of a wrong type, and what was counted."""

from __future__ import annotations

from collections.abc import Mapping

from brain.intelligence.windows import WINDOWS, minute_of
from commands.check.findings import Finding, failed, ok
from commands.clients.redis_reading import RedisReading, text_of
from store.intelligence_keys import IntelligenceNames

_NAME = "role p35 (on)"


def intelligence_finding(redis: RedisReading) -> Finding:
    """Return the finding on the keys of decision intelligence. Raises redis.exceptions.RedisError."""
    names = IntelligenceNames(redis.keys.prefix)
    now_ms = redis.now_ms()
    kinds = {
        names.bucket(minute_of(now_ms)): "hash",
        names.status: "hash",
        names.results.last_id: "string",
        names.counted_ahead: "zset",
        names.unknown: "zset",
    }
    for window in WINDOWS:
        kinds |= {names.decisions(window): "hash", names.gates(window): "hash", names.reasons(window): "zset"}
    wrong = [
        f"{key} is a {kind}, not a {wanted}"
        for key, wanted in kinds.items()
        if (kind := text_of(redis.client.type(key))) not in (wanted, "none")
    ]
    if wrong:
        return failed(
            _NAME, "; ".join(wrong), "find out who wrote it, and rename it: nothing is counted until then"
        )
    status: Mapping[bytes, bytes] = redis.client.hgetall(names.status)  # type: ignore[assignment]
    total, last_sec = (text_of(status.get(name, b"")) for name in (b"processed_total", b"last_ts"))
    if not total.isdecimal() or not last_sec.isdecimal():
        return ok(_NAME, "its keys have their types, or are not there yet; no result was counted")
    return ok(_NAME, f"{total} results counted, the latest {max(now_ms // 1000 - int(last_sec), 0)} s ago")
