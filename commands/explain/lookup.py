"""Lookup of one plan's traces in Redis."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from redis.exceptions import ResponseError

from brain.identifiers import EntryId, PlanId, Symbol
from brain.ledger.plan_mark import decode_mark
from brain.ledger.unknown_outcomes import UnknownOutcome, decode_unknown
from brain.plans.permit import OpenPermit
from brain.plans.plan_fields import read_plan
from brain.text_fields import text_fields
from commands.clients.redis_reading import Fields, RedisReading, text_of
from commands.explain.execution_lookup import look_for_execution, string_of
from commands.explain.governor_lookup import look_for_judgement
from commands.explain.intent_lookup import intent_of_plan
from commands.explain.spans import spans_of
from explanation.stored_traces import reservation_of
from explanation.traces import DeadLetter, PlanTraces, Published, Recorded, WaitingResult
from store.keys import GROUP, GovernorKeys
from store.records import id_order
from store.stored_values import read_unknown_outcomes

_MOST_SIMILAR = 10
_MOST_PENDING = 100


def look_for(plan_id: PlanId, redis: RedisReading) -> PlanTraces:
    """Return the traces of a plan; the streams are read from their newest entries back.

    Raises redis.exceptions.RedisError.
    """
    keys, wanted = redis.keys, plan_id.encode(errors="surrogateescape")
    similar: dict[PlanId, None] = {}
    recorded = None
    for audit_id, fields in redis.newest_first(keys.audit):
        name = fields.get(b"plan_id", b"")
        if name == wanted:
            entry_id = EntryId(fields.get(b"entry_id", b"").decode(errors="replace"))
            recorded = Recorded(audit_id, entry_id, fields.get(b"record", b""))
            break
        _note_similar(similar, name, wanted)
    permit_key = keys.permit(plan_id)
    permit = _string(redis, permit_key)
    ttl_ms = int(redis.client.pttl(permit_key)) if permit is not None else -1
    mark = _string(redis, keys.plan_mark(plan_id))
    consumed_by = _string(redis, keys.permit_consumer(plan_id))
    published, dead_letters = None, []
    if recorded is None:
        published = _published(redis, wanted, similar)
    for dead_id, fields in redis.newest_first(keys.dead_plans):
        if fields.get(b"plan_id", b"") == wanted:
            dead_letters.append(DeadLetter(dead_id, fields.get(b"error", b"").decode(errors="replace")))
    unknown = _unknown(redis)
    first_id = recorded.entry_id if recorded else published.entry_id if published else EntryId("")
    milliseconds = first_id.partition("-")[0]
    published_ms = int(milliseconds) if milliseconds.isdecimal() else None
    return PlanTraces(
        plan_id=plan_id,
        now_ms=redis.now_ms(),
        recorded=recorded,
        mark=decode_mark(None if mark is None else mark.decode(errors="replace")),
        permit=permit,
        permit_ttl_ms=ttl_ms if ttl_ms >= 0 else None,
        consumed_by=None if consumed_by is None else consumed_by.decode(errors="replace"),
        published=published,
        dead_letters=tuple(dead_letters),
        similar=tuple(similar),
        unknown=unknown.get(plan_id),
        unknown_permits=tuple(outcome for other, outcome in unknown.items() if other != plan_id),
        waiting_result=_waiting_result(redis, wanted),
        execution=look_for_execution(plan_id, _symbol(published), published_ms, redis),
        governor=look_for_judgement(plan_id, published_ms, redis),
        governor_permit=string_of(redis, GovernorKeys(keys, shadow=False).permit(plan_id)) is not None,
        intent=intent_of_plan(plan_id, published_ms, redis),
        spans=spans_of(redis),
    )


def _symbol(published: Published | None) -> str:
    return "" if published is None else published.fields.get("symbol", "")


def look_for_reservation(plan_id: PlanId, symbol: Symbol, redis: RedisReading) -> OpenPermit | None:
    """Return what the plan's permit still covers of the symbol's position; None when nothing (any more).

    Raises redis.exceptions.RedisError.
    """
    try:
        text: bytes | None = redis.client.hget(redis.keys.open_permits(symbol), f"p:{plan_id}")  # type: ignore[assignment]
    except ResponseError:
        return None
    return reservation_of(plan_id, None if text is None else text.decode(errors="replace"))


def _unknown(redis: RedisReading) -> dict[PlanId, UnknownOutcome]:
    """Return the unknown outcomes by plan id."""
    try:
        stored: Mapping[bytes, bytes] = redis.client.hgetall(redis.keys.unknown_outcomes)  # type: ignore[assignment]
    except ResponseError:
        return {}
    read = (decode_unknown(plan_id, text) for plan_id, text in read_unknown_outcomes(stored))
    return {outcome.plan_id: outcome for outcome in read if outcome is not None}


def _waiting_result(redis: RedisReading, wanted: bytes) -> WaitingResult | None:
    """Return a pending result of the plan, among the oldest that are pending."""
    stream = redis.keys.results
    try:
        pending = redis.client.xpending_range(stream, GROUP, "-", "+", _MOST_PENDING)
    except ResponseError:
        return None
    for row in pending:
        entry_id = EntryId(text_of(row["message_id"]))
        entries: list[tuple[bytes, Fields]] = redis.client.xrange(stream, entry_id, entry_id)  # type: ignore[assignment]
        for _, fields in entries:
            if fields.get(b"plan_id", b"") == wanted:
                idle_sec = int(row["time_since_delivered"]) / 1000
                return WaitingResult(entry_id, idle_sec, _legs_missing(redis, fields.get(b"symbol", b"")))
    return None


def _legs_missing(redis: RedisReading, symbol: bytes) -> bool:
    """Return True for a ledger that is not flat and has not both legs."""
    key = redis.keys.ledger(symbol.decode(errors="replace"))
    try:
        amounts = redis.client.hmget(key, ["last_known_amt", "long_amt", "short_amt"])
    except ResponseError:
        return False
    amount, long_amount, short_amount = amounts
    return amount not in (None, b"0") and not (long_amount and short_amount)


def _note_similar(similar: dict[PlanId, None], name: bytes, wanted: bytes) -> None:
    if wanted and name.startswith(wanted) and len(similar) < _MOST_SIMILAR:
        similar[PlanId(name.decode(errors="backslashreplace"))] = None


def _string(redis: RedisReading, key: str) -> bytes | None:
    """Return the value of a string key; None where there is none, or a key of another type."""
    try:
        return redis.client.get(key)  # type: ignore[return-value]
    except ResponseError:
        return None


def _published(redis: RedisReading, wanted: bytes, similar: dict[PlanId, None]) -> Published | None:
    for entry_id, fields in redis.newest_first(redis.keys.plans):
        name = fields.get(b"plan_id", b"")
        if name == wanted:
            return _progress(redis, entry_id, fields)
        _note_similar(similar, name, wanted)
    return None


def _progress(redis: RedisReading, entry_id: EntryId, fields: Fields) -> Published:
    found = Published(entry_id, text_fields(fields), read_plan(fields), "acknowledged")
    stream = redis.keys.plans
    groups = [group for group in redis.client.xinfo_groups(stream) if text_of(group["name"]) == GROUP]
    if not groups or id_order(text_of(groups[0]["last-delivered-id"])) < id_order(entry_id):
        return msgspec.structs.replace(found, progress="unread")
    pending = redis.client.xpending_range(stream, GROUP, entry_id, entry_id, 1)
    for row in pending:
        return msgspec.structs.replace(
            found,
            progress="pending",
            consumer=text_of(row["consumer"]),
            deliveries=int(row["times_delivered"]),
            idle_sec=int(row["time_since_delivered"]) / 1000,
        )
    return found
