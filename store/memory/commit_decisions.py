"""Writes decisions, each whole or not at all (`commit_decisions.lua`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from brain.identifiers import FencingToken, PlanId
from store.errors import WrongTypeError
from store.keys import Keys
from store.memory.consumer_group import LONGEST_DEAD, acknowledge_one
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.memory.reads import ledger_at, text_at
from store.records import (
    AlreadyDecided,
    Assumed,
    Broken,
    Changed,
    CommitReply,
    Committed,
    DecisionCommit,
    SymbolState,
    TooLate,
    Verdict,
)
from store.stored_values import read_text

_LONGEST_AUDIT = 100_000
_PERMIT_FIELD = re.compile(rb"p:([ -~]+)")
_PERMIT_VALUE = re.compile(rb"[A-Z]+\|[a-z]+\|[A-Z]*\|[0-9][0-9.]*\|([0-9]{1,15})")
_MOST_EXPIRED = 1000
_HASH_MARGIN_MS = 60_000


class _UnreadablePermitError(Exception):
    pass


class _Stored(msgspec.Struct, frozen=True):
    state: SymbolState
    expired: tuple[bytes, ...]


def commit_decisions(
    redis: Keyspace, keys: Keys, fence: FencingToken, decisions: Sequence[DecisionCommit]
) -> CommitReply:
    """Return one verdict for each decision, in order."""
    check_fence(redis, keys, fence)
    for key in (keys.plans, keys.audit, keys.dead_plans):
        redis.stream(key)
    now_ms = redis.now_ms()
    return CommitReply(now_ms, tuple(_decide(redis, keys, decision, now_ms) for decision in decisions))


def _decide(redis: Keyspace, keys: Keys, decision: DecisionCommit, now_ms: int) -> Verdict:
    mark_key = keys.plan_mark(decision.plan_id)
    try:
        mark = redis.text(mark_key)
    except WrongTypeError as error:
        return Broken(f"{mark_key}: {error}")
    if mark is not None and mark.startswith(b"D"):
        acknowledge_one(redis, keys.plans, decision.entry_id)
        return AlreadyDecided()
    open_key = keys.open_permits(decision.symbol)
    expired: tuple[bytes, ...] = ()
    if decision.assumed is not None or decision.reservation:
        try:
            stored = _stored(redis, keys, decision.symbol, now_ms, settled=mark is not None)
        except (WrongTypeError, _UnreadablePermitError) as error:
            return Broken(f"{open_key}: {error}")
        expired = stored.expired
        if decision.assumed is not None and _assumed(stored.state) != decision.assumed:
            return Changed(stored.state)
    if decision.deadline_ms > 0 and not decision.not_before_ms <= now_ms <= decision.deadline_ms:
        return TooLate()

    expires_ms = 0
    if decision.reservation:
        expires_ms = now_ms + decision.reservation_life_ms
        reserved = f"{decision.reservation}|{expires_ms}"
        redis.hset(open_key, ("v", decision.permits_version, f"p:{decision.plan_id}", reserved))
        redis.hdel(open_key, expired)
        redis.expire(open_key, max(redis.ttl_ms(open_key), decision.reservation_life_ms + _HASH_MARGIN_MS))
    redis.set(mark_key, decision.mark, ttl_ms=decision.mark_ttl_ms)
    redis.xadd(keys.audit, paired(decision.audit_fields), max_len=_LONGEST_AUDIT)
    if decision.dead_fields:
        redis.xadd(keys.dead_plans, paired(decision.dead_fields), max_len=LONGEST_DEAD)
    acknowledge_one(redis, keys.plans, decision.entry_id)
    redis.set(keys.permit(decision.plan_id), decision.permit, ttl_ms=decision.permit_ttl_ms)
    return Committed(expires_ms)


def _stored(redis: Keyspace, keys: Keys, symbol: str, now_ms: int, *, settled: bool) -> _Stored:
    version: str | None = None
    live: list[tuple[PlanId, str]] = []
    expired: list[bytes] = []
    for field, value in redis.hash(keys.open_permits(symbol)).items():
        if field == b"v":
            version = read_text(value)
            continue
        plan, permit = _PERMIT_FIELD.fullmatch(field), _PERMIT_VALUE.fullmatch(value)
        if plan is None or permit is None:
            raise _UnreadablePermitError("an open permit cannot be read")
        if int(permit[1]) > now_ms:
            live.append((PlanId(plan[1].decode()), value.decode()))
        elif len(expired) < _MOST_EXPIRED:
            expired.append(field)
    state = SymbolState(
        hold=redis.kind(keys.hold(symbol)) != "none",
        cooldown=text_at(redis, keys.cooldown(symbol)),
        ledger=ledger_at(redis, keys.ledger(symbol)),
        permits_version=version,
        permits=tuple(live),
        settled=settled,
    )
    return _Stored(state, tuple(expired))


def _assumed(state: SymbolState) -> Assumed:
    """Return the assumptions that hold for exactly this state."""
    ledger = state.ledger
    return Assumed(
        state.hold,
        state.cooldown,
        ledger.last_known_amt,
        ledger.last_order_id,
        ledger.last_order_time_epoch,
        ledger.long_amt,
        ledger.short_amt,
        state.permits_version,
        len(state.permits),
        state.settled,
    )
