"""Steps of the executor (`begin_order.lua`, `finish_order.lua`, `hold_execution.lua`, `release_hold.lua`,
`record_orphan.lua`, `append.lua`, `add_counts.lua`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import ClientOrderId, EntryId, FencingToken, Symbol
from store.execution_records import BeginReply, ExecutionHold, OrderBegin, OrphanReply
from store.execution_values import (
    CLOCK_TOLERANCE_MS,
    CONSUMED_TTL_MS,
    RECORD_TTL_MS,
    FinishedOrder,
    encode_record,
)
from store.keys import ExecutorKeys, Keys
from store.memory.consumer_group import LONGEST_DEAD, acknowledge_in_order, acknowledge_one
from store.memory.execution_reads import string_at, switches_at
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.memory.streams import parse_id

LONGEST_RESULTS = LONGEST_AUDIT = 100_000
LONGEST_DRY_RUN = 10_000
_COOLDOWN_MS = 3_600_000
_HASH_MARGIN_MS = 60_000
_NO_KEY = -2
_RESERVATION = re.compile(rb"([A-Z]+\|[a-z]+\|[A-Z]*\|[0-9][0-9.]*)\|([0-9]{1,15})")
_COUNT = re.compile(rb"[0-9]{1,15}")


def begin_order(redis: Keyspace, keys: Keys, fence: FencingToken, begin: OrderBegin) -> BeginReply:
    """Consume the permits and write the first record, or nothing at all."""
    check_fence(redis, keys, fence)
    executor, record = ExecutorKeys(keys), begin.record
    redis.sorted_set(executor.open)
    plans = executor.stream(record.stream)
    for stream in (executor.audit, keys.results, plans.key):
        redis.stream(stream)
    redis.text(plans.last_id)
    refusal = _refusal(redis, keys, executor, begin)
    if refusal is not None:
        return refusal
    _remember(redis, executor, record)
    redis.zadd(executor.open, record.timestamp_ms, record.plan_id)
    if begin.audit:
        redis.xadd(executor.audit, paired(begin.audit), max_len=LONGEST_AUDIT)
    redis.set(keys.permit_consumer(record.plan_id), begin.consumer, ttl_ms=CONSUMED_TTL_MS)
    for key, _, _ in begin.permits:
        redis.delete(key)
    return BeginReply("begun")


def _refusal(redis: Keyspace, keys: Keys, executor: ExecutorKeys, begin: OrderBegin) -> BeginReply | None:
    """Return the reason why nothing may be written."""
    record = begin.record
    consumer = string_at(redis, keys.permit_consumer(record.plan_id))
    if consumer is not None:
        return BeginReply("exists", consumer.decode(errors="replace"))
    known_by = (executor.order(record.plan_id), executor.plan_of(record.client_order_id))
    if any(redis.kind(key) != "none" for key in known_by):
        return BeginReply("exists")
    now_ms = redis.now_ms()
    age_ms = now_ms - begin.published_ms
    if age_ms > begin.plan_max_age_ms:
        return BeginReply("expired", str(age_ms))
    if now_ms > begin.deadline_ms:
        return BeginReply("late", str(now_ms - begin.deadline_ms))
    for number, (key, text, created_ms) in enumerate(begin.permits):
        if string_at(redis, key) != text:
            return BeginReply("changed")
        age_ms = 0 if created_ms is None else now_ms - created_ms
        if age_ms > begin.permit_max_age_ms:
            return BeginReply("too_old", str(age_ms), number)
        if -age_ms > CLOCK_TOLERANCE_MS:
            return BeginReply("from_the_future", str(-age_ms), number)
    if not begin.ignores_hold and redis.kind(keys.hold(record.symbol)) != "none":
        return BeginReply("hold")
    return BeginReply("switched") if switches_at(redis, executor) != begin.switches else None


def _remember(redis: Keyspace, executor: ExecutorKeys, record: OrderRecord) -> None:
    """Write a first record."""
    redis.hset(executor.order(record.plan_id), encode_record(record))
    redis.expire(executor.order(record.plan_id), RECORD_TTL_MS)
    redis.set(executor.plan_of(record.client_order_id), record.plan_id, ttl_ms=RECORD_TTL_MS)


def finish_order(redis: Keyspace, keys: Keys, fence: FencingToken, step: FinishedOrder) -> bool:
    """Write a record's next version with its result; False where the stored one is not the one before."""
    check_fence(redis, keys, fence)
    executor = ExecutorKeys(keys)
    record_key = executor.order(step.plan_id)
    stored = redis.hash(record_key)
    redis.sorted_set(executor.open)
    acknowledges = step.ended and step.stream != ""
    for stream in (executor.audit, keys.results, *((step.stream,) if acknowledges else ())):
        redis.stream(stream)
    if acknowledges:
        redis.text(step.last_id)
    if step.dead_fields:
        redis.stream(step.dead)
    if step.before == 0 and stored:
        if acknowledges and stored.get(b"state") == OrderPhase.FINAL.encode():
            acknowledge_in_order(redis, step.stream, step.group, step.last_id, step.entry_id)
        return False
    if step.before != 0 and stored.get(b"version") != str(step.before).encode():
        return False
    if step.result:
        redis.xadd(keys.results, paired(step.result), max_len=LONGEST_RESULTS)
    redis.hset(record_key, step.fields)
    redis.expire(record_key, step.record_ttl_ms)
    if step.client_order_id:
        redis.set(executor.plan_of(step.client_order_id), step.plan_id, ttl_ms=step.record_ttl_ms)
    if step.ended:
        redis.zrem(executor.open, [step.plan_id.encode()])
    else:
        redis.zadd(executor.open, step.score_ms, step.plan_id)
    if step.cooldown:
        redis.set(keys.cooldown(step.symbol), step.cooldown, ttl_ms=_COOLDOWN_MS)
    if step.audit:
        redis.xadd(executor.audit, paired(step.audit), max_len=LONGEST_AUDIT)
    if step.dead_fields:
        redis.xadd(step.dead, paired(step.dead_fields), max_len=LONGEST_DEAD)
    if step.releases:
        _release(redis, keys, step)
    if acknowledges:
        acknowledge_in_order(redis, step.stream, step.group, step.last_id, step.entry_id)
    return True


def _release(redis: Keyspace, keys: Keys, step: FinishedOrder) -> None:
    """End the order's hold, or pass it to the heir for the rest of its life."""
    executor, symbol = ExecutorKeys(keys), Symbol(step.symbol)
    sig_key, reason_key = executor.hold_sig(symbol), executor.hold_reason(symbol)
    if string_at(redis, sig_key) != f"exec:{step.client_order_id}".encode():
        return
    if not step.heir_client_order_id:
        for key in (sig_key, reason_key, keys.hold(symbol)):
            redis.delete(key)
        return
    owned = (
        (sig_key, f"exec:{step.heir_client_order_id}"),
        (reason_key, f"execution_unknown:{step.heir_plan_id}"),
    )
    for key, text in owned:
        life_ms = redis.ttl_ms(key)
        if life_ms != _NO_KEY:
            redis.set(key, text, ttl_ms=None if life_ms < 0 else life_ms)


def hold_execution(redis: Keyspace, keys: Keys, fence: FencingToken, hold: ExecutionHold) -> bool:
    """Hold a symbol, and keep the order's record and reservation; False where another holds it."""
    check_fence(redis, keys, fence)
    ours = hold.reason != "" and _is_free(redis, keys, hold)
    if ours:
        _set_hold(redis, keys, hold)
    _keep_reservation(redis, keys, hold)
    redis.expire(ExecutorKeys(keys).order(hold.plan_id), RECORD_TTL_MS)
    return ours


def _is_free(redis: Keyspace, keys: Keys, hold: ExecutionHold) -> bool:
    """Return False where another holds the symbol."""
    sig = string_at(redis, ExecutorKeys(keys).hold_sig(hold.symbol))
    return redis.kind(keys.hold(hold.symbol)) == "none" or sig == f"exec:{hold.client_order_id}".encode()


def _set_hold(redis: Keyspace, keys: Keys, hold: ExecutionHold) -> None:
    executor = ExecutorKeys(keys)
    redis.set(executor.hold_sig(hold.symbol), f"exec:{hold.client_order_id}", ttl_ms=hold.ttl_ms)
    redis.set(executor.hold_reason(hold.symbol), hold.reason, ttl_ms=hold.ttl_ms)
    redis.set(keys.hold(hold.symbol), "1", ttl_ms=hold.ttl_ms)


def _keep_reservation(redis: Keyspace, keys: Keys, hold: ExecutionHold) -> None:
    open_key, field = keys.open_permits(hold.symbol), f"p:{hold.plan_id}"
    stored = redis.hash(open_key) if redis.kind(open_key) == "hash" else {}
    reserved = _RESERVATION.fullmatch(stored.get(field.encode(), b""))
    expires_ms = redis.now_ms() + hold.ttl_ms
    if reserved is None or int(reserved[2]) >= expires_ms:
        return
    version = f"x{hold.client_order_id}|{expires_ms}"
    redis.hset(open_key, ("v", version, field, f"{reserved[1].decode()}|{expires_ms}"))
    redis.expire(open_key, max(redis.ttl_ms(open_key), hold.ttl_ms + _HASH_MARGIN_MS))


def release_hold(
    redis: Keyspace, keys: Keys, fence: FencingToken, symbol: Symbol, client_order_id: ClientOrderId
) -> bool:
    """Delete the hold of an order; False where there was none."""
    check_fence(redis, keys, fence)
    executor = ExecutorKeys(keys)
    if string_at(redis, executor.hold_sig(symbol)) != f"exec:{client_order_id}".encode():
        return False
    redis.delete(executor.hold_sig(symbol))
    redis.delete(executor.hold_reason(symbol))
    return redis.delete(keys.hold(symbol))


def record_orphan(
    redis: Keyspace,
    keys: Keys,
    fence: FencingToken,
    record: OrderRecord,
    event: Sequence[str],
    hold: ExecutionHold | None,
) -> OrphanReply:
    """Write the record of an order that was found without one, with its event and hold."""
    check_fence(redis, keys, fence)
    executor = ExecutorKeys(keys)
    redis.stream(keys.events)
    known = redis.text(executor.plan_of(record.client_order_id))
    named = record.plan_id if known is None else known.decode(errors="backslashreplace")
    if any(redis.kind(executor.order(plan_id)) != "none" for plan_id in (record.plan_id, named)):
        return "known"
    if hold is not None and not _is_free(redis, keys, hold):
        return "held"
    _remember(redis, executor, record)
    if event:
        redis.xadd(keys.events, paired(event), max_len=LONGEST_DEAD)
    if hold is not None:
        _set_hold(redis, keys, hold)
    return "recorded"


def append_audit(redis: Keyspace, keys: Keys, fence: FencingToken, fields: Sequence[str]) -> None:
    """Append a step to the executor's audit."""
    check_fence(redis, keys, fence)
    redis.xadd(ExecutorKeys(keys).audit, paired(fields), max_len=LONGEST_AUDIT)


def publish_dry_run(
    redis: Keyspace, keys: Keys, fence: FencingToken, stream: str, entry_id: EntryId, fields: Sequence[str]
) -> None:
    """Append what would have been done, and acknowledge the plan's entry, unless that is done already."""
    check_fence(redis, keys, fence)
    executor = ExecutorKeys(keys)
    redis.stream(executor.dry_run)
    plans = redis.stream(stream)
    group = None if plans is None else plans.groups.get(executor.dry_runs.group)
    if group is not None and parse_id(entry_id) not in group.pending:
        return
    redis.xadd(executor.dry_run, paired(fields), max_len=LONGEST_DRY_RUN)
    acknowledge_one(redis, stream, entry_id, executor.dry_runs.group)


def write_counts(redis: Keyspace, keys: Keys, fence: FencingToken, counts: Mapping[str, int]) -> None:
    """Add to the executor's counts; one that is no number begins at 0."""
    check_fence(redis, keys, fence)
    key = ExecutorKeys(keys).counts
    stored = redis.hash(key)
    for name, count in counts.items():
        before = stored.get(name.encode(), b"")
        redis.hset(key, (name, str(count + (int(before) if _COUNT.fullmatch(before) else 0))))
