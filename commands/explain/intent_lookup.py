"""Lookup of an intent in Redis: its entry, the bridge's audit of it, and how far the bridge's group is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

from redis.exceptions import ResponseError

from brain.identifiers import EntryId, PlanId
from brain.plans.intent import read_intent_symbol
from commands.clients.redis_reading import Fields, RedisReading, text_of
from explanation.entry_texts import texts_of
from explanation.intents import BRIDGE, IntentTraces
from explanation.timeline import Dated, entry_ms
from store.keys import BridgeNames
from store.records import id_order

#: A plan and its audit entry are written by one script: their ids have the same time.
_SAME_STEP_MS = 1_000
#: A foreign bridge publishes the plan of an intent within so long (ms).
_CANDIDATES_MS = 5_000
_MOST_CANDIDATES = 5
_MOST_SIMILAR = 10


def audit_streams(prefix: str) -> tuple[str, ...]:
    """Return the audit of the bridge, and that of its shadow."""
    return tuple(BridgeNames(prefix, shadow=shadow).audit for shadow in (False, True))


def _groups(prefix: str) -> dict[str, str]:
    """Return the bridge's group of each stream of intents."""
    names = BridgeNames(prefix, shadow=False)
    return {each.key: each.group for each in (names.trade_intents, names.exit_intents, names.harvest_intents)}


def intent_of_plan(plan_id: PlanId, published_ms: int | None, redis: RedisReading) -> IntentTraces | None:
    """Return the intent that was made this plan; None where no audit entry names it.

    Raises redis.exceptions.RedisError.
    """
    wanted = plan_id.encode(errors="surrogateescape")
    since_ms = None if published_ms is None else max(published_ms - _SAME_STEP_MS, 0)
    until_ms = None if published_ms is None else published_ms + _SAME_STEP_MS

    def makes_it(fields: Fields) -> bool:
        return fields.get(b"plan_id") == wanted and fields.get(b"outcome") == b"plan"

    for entry in _audited(redis, makes_it, since_ms, until_ms):
        return _traces_of(entry, redis)
    return None


def intent_named(text: str, redis: RedisReading) -> IntentTraces | None:
    """Return the intent with this entry id, or this `intent_id`; None where there is none.

    An id without its sequence will do, where one entry alone has that time. Raises
    redis.exceptions.RedisError.
    """
    if entry_ms(text):
        return _by_entry(text, redis)
    name = text.encode(errors="surrogateescape")

    def named(fields: Fields) -> bool:
        return _intent_id(fields, name) == name

    for entry in _audited(redis, named):
        return _traces_of(entry, redis)
    for stream in _groups(redis.keys.prefix):
        for entry_id, fields in _entries(redis, stream):
            if named(fields):
                return _traces(stream, entry_id, redis)
    return None


def intents_beginning(text: str, redis: RedisReading) -> list[str]:
    """Return `intent_id`s of the bridge's audit that begin so, a few. Raises redis.exceptions.RedisError."""
    begin = text.encode(errors="surrogateescape")
    found: set[str] = set()
    for stream in audit_streams(redis.keys.prefix):
        for _, fields in _entries(redis, stream):
            intent_id = _intent_id(fields, begin)
            if intent_id.startswith(begin):
                found.add(text_of(intent_id))
            if len(found) == _MOST_SIMILAR:
                break
    return sorted(found)


def _intent_id(fields: Fields, wanted: bytes) -> bytes:
    """Return the `intent_id` of an audit entry; empty where it has none, or none with these bytes."""
    record = fields.get(b"record", b"")
    if b"intent_id" in fields or wanted not in record:
        return fields.get(b"intent_id", b"")
    try:
        published = json.loads(record).get("fields", {})
        return str(published.get("intent_id", "")).encode(errors="surrogateescape")
    except (ValueError, AttributeError):
        return b""


def _by_entry(text: str, redis: RedisReading) -> IntentTraces | None:
    streams = _groups(redis.keys.prefix)
    try:
        for stream in streams:
            entries = redis.client.xrange(stream, text, text, count=2)
            if len(entries) == 1:  # type: ignore[arg-type]
                return _traces(stream, text_of(entries[0][0]), redis)  # type: ignore[index]
    except ResponseError:
        return None
    wanted = text.encode()

    def of_entry(fields: Fields) -> bool:
        return fields.get(b"entry_id") == wanted

    for entry in _audited(redis, of_entry, since_ms=entry_ms(text)):
        return _traces_of(entry, redis)
    return None


def _traces_of(audited: Dated, redis: RedisReading) -> IntentTraces:
    stream = audited.fields.get("stream", "")
    if stream and ":" not in stream:
        stream = f"{redis.keys.prefix}:stream:{stream}"
    return _traces(stream, audited.fields.get("entry_id", ""), redis)


def _traces(stream: str, entry_id: str, redis: RedisReading) -> IntentTraces:
    wanted, lane = entry_id.encode(), _lane(stream.encode())

    def of_entry(fields: Fields) -> bool:
        return fields.get(b"entry_id") == wanted and _lane(fields.get(b"stream", lane)) == lane

    audited = list(_audited(redis, of_entry, since_ms=entry_ms(entry_id)))
    acting = [each for each in audited if each.fields.get("mode") != "shadow"]
    entry = _entry(redis, stream, entry_id)
    candidates: tuple[PlanId, ...] = ()
    if not acting and entry is not None:
        candidates = tuple(islice(_candidates(redis, entry), _MOST_CANDIDATES))
    return IntentTraces(
        stream=stream,
        entry_id=entry_id,
        entry=entry,
        audit=acting[-1] if acting else None,
        shadows=tuple(each for each in audited if each.fields.get("mode") == "shadow"),
        progress=_progress(redis, stream, entry_id),
        candidates=candidates,
    )


def _lane(stream: bytes) -> bytes:
    return stream.rpartition(b":")[2]


def _audited(
    redis: RedisReading,
    wanted: Callable[[Fields], bool],
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> Iterator[Dated]:
    """Yield audit entries, also of the shadow, each stream's newest first."""
    for stream in audit_streams(redis.keys.prefix):
        for entry_id, fields in _entries(redis, stream, since_ms, until_ms):
            if wanted(fields):
                yield Dated(entry_id, texts_of(fields))


def _entries(
    redis: RedisReading, stream: str, since_ms: int | None = None, until_ms: int | None = None
) -> Iterator[tuple[EntryId, Fields]]:
    try:
        yield from redis.newest_first(stream, since_ms=since_ms, until_ms=until_ms)
    except ResponseError:
        return


def _entry(redis: RedisReading, stream: str, entry_id: str) -> Dated | None:
    try:
        entries: list[tuple[bytes, Fields]] = redis.client.xrange(stream, entry_id, entry_id)  # type: ignore[assignment]
    except ResponseError:
        return None
    return Dated(EntryId(entry_id), texts_of(entries[0][1])) if entries else None


def _candidates(redis: RedisReading, intent: Dated) -> Iterator[PlanId]:
    """Yield plans of a bridge, of the intent's symbol, that were published shortly after it."""
    symbol = read_intent_symbol({name.encode(): text.encode() for name, text in intent.fields.items()})
    if symbol is None:
        return
    try:
        entries: list[tuple[bytes, Fields]] = redis.client.xrange(  # type: ignore[assignment]
            redis.keys.plans, str(intent.at_ms), str(intent.at_ms + _CANDIDATES_MS), count=500
        )
    except ResponseError:
        return
    for _, fields in entries:
        if fields.get(b"symbol") == symbol.encode() and BRIDGE.encode() in (
            fields.get(b"source"),
            fields.get(b"signature"),
        ):
            yield PlanId(text_of(fields.get(b"plan_id", b"")))


def _progress(
    redis: RedisReading, stream: str, entry_id: str
) -> Literal["unread", "pending", "acknowledged", "no group"]:
    name = _groups(redis.keys.prefix).get(stream)
    try:
        groups = [each for each in redis.client.xinfo_groups(stream) if text_of(each["name"]) == name]
        if not groups:
            return "no group"
        if id_order(text_of(groups[0]["last-delivered-id"])) < id_order(entry_id):
            return "unread"
        pending = redis.client.xpending_range(stream, str(name), entry_id, entry_id, 1)
    except ResponseError:
        return "no group"
    return "pending" if pending else "acknowledged"
