"""Check of the streams: their types, and the lag of the consumer group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from commands.check.findings import Finding, failed, ok, warning
from commands.clients.redis_reading import RedisReading, text_of
from store.keys import GROUP
from store.records import id_order

#: An entry that waits for longer is not being read.
_PATIENCE_SEC = 5.0
_MOST_COUNTED = 1000
_AHEAD_SEC = 1.0


def stream_findings(redis: RedisReading, *, instance: str) -> Iterator[Finding]:
    """Yield the findings on the service's streams. Raises redis.exceptions.RedisError."""
    keys = redis.keys
    yield _read_stream(redis, keys.plans, "stream apply.plan", instance)
    yield _read_stream(redis, keys.results, "stream apply.result", instance)
    wrong = [
        f"{key} is a {kind}"
        for key in (keys.intents, keys.audit, keys.dead_plans, keys.dead_results, keys.events)
        if (kind := _kind(redis, key)) not in ("stream", "none")
    ]
    if wrong:
        yield failed("other streams", "; ".join(wrong), _rename(wrong[0].split()[0]))
    else:
        yield ok(
            "other streams",
            "trade.intent, permit.audit, dead letters and events are streams, or not there yet",
        )


def _read_stream(redis: RedisReading, key: str, name: str, instance: str) -> Finding:
    kind = _kind(redis, key)
    if kind == "none":
        return warning(
            name,
            f"{key} and its consumer group do not exist yet",
            "start the service, which makes both; if it runs, is it with this REDIS_URL and P33_KEY_PREFIX?",
        )
    if kind != "stream":
        return failed(name, f"{key} is a {kind}, not a stream", _rename(key))
    group = _group(redis, key)
    if group is None:
        return warning(
            name,
            f"no consumer group {GROUP}: it is not read yet",
            "start the service, which makes the group before it reads",
        )
    return _progress(redis, key, name, group, instance)


def _progress(redis: RedisReading, key: str, name: str, group: Mapping[str, Any], instance: str) -> Finding:
    now_ms = redis.now_ms()
    length = int(redis.client.xlen(key))
    last = text_of(group["last-delivered-id"])
    unread: Any = redis.client.xrange(key, f"({last}", "+", count=_MOST_COUNTED)
    pending: Any = redis.client.xpending_range(key, GROUP, "-", "+", 1)
    ahead_sec = (id_order(text_of(redis.client.xinfo_stream(key)["last-generated-id"]))[0] - now_ms) / 1000
    if ahead_sec > _AHEAD_SEC:
        return warning(
            name,
            f"new entries have ids {ahead_sec:.0f} s ahead of Redis's clock: it was set back, or an entry "
            "has an explicit id",
            "publish with XADD *; until the clock reaches them, entries unread at a start count as expired",
        )
    detail = f"{length} entries, group {GROUP}: {_many(len(unread))} unread, {group['pending']} pending"
    waits_sec = (now_ms - id_order(text_of(unread[0][0]))[0]) / 1000 if unread else 0.0
    if waits_sec > _PATIENCE_SEC:
        return failed(
            name,
            f"{detail}; the oldest unread one waits for {waits_sec:.0f} s",
            "it is not read: is the service running and ready? (position-state-brain status)",
        )
    if pending:
        lies_sec = (now_ms - id_order(text_of(pending[0]["message_id"]))[0]) / 1000
        if lies_sec > _PATIENCE_SEC:
            whose = text_of(pending[0]["consumer"])
            other = "" if whose == instance else f", given to {whose}"
            return warning(
                name,
                f"{detail}; the oldest pending one is {lies_sec:.0f} s old{other}",
                "a running service takes it over within seconds; if it does not, look at its log",
            )
    return ok(name, detail)


def _group(redis: RedisReading, key: str) -> Mapping[str, Any] | None:
    groups: list[dict[str, Any]] = redis.client.xinfo_groups(key)
    return next((group for group in groups if text_of(group["name"]) == GROUP), None)


def _kind(redis: RedisReading, key: str) -> str:
    return text_of(redis.client.type(key))


def _rename(key: str) -> str:
    return f"find out who wrote it, and move it out of the way: redis-cli RENAME {key} {key}.wrong"


def _many(count: int) -> str:
    return f"{count}+" if count == _MOST_COUNTED else str(count)
