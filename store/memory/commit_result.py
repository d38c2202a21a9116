"""Books one result, whole or not at all (`commit_result.lua`)."""

from __future__ import annotations

import re

from brain.identifiers import FencingToken
from store.keys import GROUP, Keys
from store.memory.consumer_group import LONGEST_DEAD, acknowledge_one
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.memory.order_memory import remember_orders
from store.records import OrderWrite, ResultCommit
from store.stored_values import id_parts, read_text

_ENDS = re.compile(rb"([0-9]+)\|.*", re.DOTALL)
_HASH_MARGIN_MS = 60_000


def commit_result(redis: Keyspace, keys: Keys, fence: FencingToken, commit: ResultCommit) -> int | None:
    """Return Redis's clock (ms), or None when the state that the booking was computed from has changed."""
    check_fence(redis, keys, fence)
    for stream in (keys.results, keys.dead_results, keys.events):
        redis.stream(stream)
    last = redis.text(keys.last_result_id)
    if commit.compare and not _as_read(redis, keys, commit):
        return None
    now_ms = redis.now_ms()
    before, entry_id = last or b"0-0", commit.entry_id.encode()
    if commit.acknowledge:
        moves_on = id_parts(entry_id) > id_parts(before) and not _passes_one_by(redis, keys, entry_id)
        redis.set(keys.last_result_id, entry_id if moves_on else before)

    if commit.ledger_fields:
        redis.hset(keys.ledger(commit.symbol), commit.ledger_fields)
        redis.expire(keys.ledger(commit.symbol), commit.ledger_ttl_ms)
    if commit.orders:
        remember_orders(redis, keys, commit.symbol, commit.orders, now_ms)
    if named := _unknown(redis, keys, commit):
        remember_orders(redis, keys, commit.symbol, named, now_ms)
    revoked = commit.revoke_permit and redis.delete(keys.permit(commit.plan_id))
    ended = False
    if commit.permit_after is not None and (revoked or not commit.only_if_unconsumed):
        ended = not commit.permit_after
        open_key, plan_field = keys.open_permits(commit.symbol), f"p:{commit.plan_id}"
        redis.hset(open_key, ("v", f"{'r' if commit.acknowledge else 'e'}{commit.entry_id}"))
        if commit.permit_after:
            redis.hset(open_key, (plan_field, commit.permit_after))
        else:
            redis.hdel(open_key, [plan_field.encode()])
    _keep_unknown(redis, keys, commit, now_ms, ended=ended)
    if commit.mark_after and (commit.compare or redis.kind(keys.plan_mark(commit.plan_id)) == "none"):
        redis.set(keys.plan_mark(commit.plan_id), commit.mark_after, ttl_ms=commit.mark_ttl_ms)
    if commit.dead_fields:
        redis.xadd(keys.dead_results, paired(commit.dead_fields), max_len=LONGEST_DEAD)
    if commit.event_fields:
        redis.xadd(keys.events, paired(commit.event_fields), max_len=LONGEST_DEAD)
    if commit.acknowledge:
        acknowledge_one(redis, keys.results, commit.entry_id)
    return now_ms


def _unknown(redis: Keyspace, keys: Keys, commit: ResultCommit) -> list[OrderWrite]:
    """Return the named orders that nothing is known of yet."""
    memory, times = keys.order_memory(commit.symbol), keys.order_times(commit.symbol)
    if (redis.kind(memory), redis.kind(times)) not in (("hash", "zset"), ("none", "none")):
        return []
    known = redis.hash(memory)
    return [order for order in commit.named if order.order_id.encode() not in known]


def _passes_one_by(redis: Keyspace, keys: Keys, entry_id: bytes) -> bool:
    """Return True if a result before `entry_id` is still pending."""
    stream = redis.stream(keys.results)
    group = None if stream is None else stream.groups.get(GROUP)
    return group is not None and any(pending < id_parts(entry_id) for pending in group.pending)


def _as_read(redis: Keyspace, keys: Keys, commit: ResultCommit) -> bool:
    """Return True if the stored state is the one that was read. Raises WrongTypeError first."""
    ledger = redis.hash(keys.ledger(commit.symbol))
    orders = redis.hash(keys.order_memory(commit.symbol))
    redis.sorted_set(keys.order_times(commit.symbol))
    permits = redis.hash(keys.open_permits(commit.symbol))
    mark = redis.text(keys.plan_mark(commit.plan_id))
    amounts = tuple(read_text(ledger.get(name)) for name in (b"last_known_amt", b"long_amt", b"short_amt"))
    return (
        amounts == commit.before_amounts
        and read_text(ledger.get(b"version")) == commit.before_version
        and all(read_text(orders.get(order.order_id.encode())) == order.before for order in commit.orders)
        and read_text(permits.get(f"p:{commit.plan_id}".encode())) == commit.permit_before
        and read_text(mark) == commit.mark_before
    )


def _keep_unknown(redis: Keyspace, keys: Keys, commit: ResultCommit, now_ms: int, *, ended: bool) -> None:
    key, plan_id = keys.unknown_outcomes, commit.plan_id.encode()
    if redis.kind(key) not in ("hash", "none"):
        return
    if ended or commit.unknown_after == "":
        redis.hdel(key, [plan_id])
    elif commit.unknown_after is not None:
        redis.hdel(key, [plan for plan, value in redis.hash(key).items() if _ends(value) <= now_ms])
        if plan_id not in redis.hash(key):
            redis.hset(key, (plan_id, commit.unknown_after))
        left_ms = _ends(commit.unknown_after.encode()) - now_ms
        redis.expire(key, max(redis.ttl_ms(key), left_ms + _HASH_MARGIN_MS))


def _ends(value: bytes) -> int:
    found = _ENDS.fullmatch(value)
    return int(found[1]) if found else 0
