"""Books results in their order, each whole or not at all (`commit_results.lua`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from brain.identifiers import EntryId, FencingToken, Symbol
from store.errors import StoreRefusedError, unless_refused
from store.keys import GROUP, Keys
from store.memory.consumer_group import LONGEST_DEAD, acknowledge_one, note_acknowledged
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired
from store.memory.order_memory import forget_orders, remember_orders
from store.records import OrderWrite, ResultCommit
from store.stored_values import read_text

_ENDS = re.compile(rb"([0-9]+)\|.*", re.DOTALL)
_HASH_MARGIN_MS = 60_000


def commit_result(redis: Keyspace, keys: Keys, fence: FencingToken, commit: ResultCommit) -> int | None:
    """Return Redis's clock (ms), or None when the state that the booking was computed from has changed."""
    batch = _Batch(redis, keys, fence)
    booked_ms = batch.book(commit)
    batch.end()
    return booked_ms


def commit_results(
    redis: Keyspace,
    keys: Keys,
    fence: FencingToken,
    commits: Sequence[ResultCommit],
    *,
    booked: Callable[[ResultCommit, int | None], None] | None = None,
) -> list[int | None]:
    """Return the same for each, None also where it is refused. `booked` is called after each."""
    try:
        batch = _Batch(redis, keys, fence)
    except StoreRefusedError:
        return [None] * len(commits)
    times: list[int | None] = []
    for commit in commits:
        times.append(unless_refused(batch.book, commit))
        if booked is not None:
            booked(commit, times[-1])
    batch.end()
    return times


class _Batch:
    """One script's run."""

    def __init__(self, redis: Keyspace, keys: Keys, fence: FencingToken) -> None:
        """Raise FencedError unless `fence` is the current lease, WrongTypeError for a key of all results."""
        check_fence(redis, keys, fence)
        for stream in (keys.results, keys.dead_results, keys.events):
            redis.stream(stream)
        redis.text(keys.last_result_id)
        self._redis = redis
        self._keys = keys
        self._now_ms = redis.now_ms()
        self._acknowledged: list[EntryId] = []
        self._remembering: dict[Symbol, None] = {}

    def book(self, commit: ResultCommit) -> int | None:
        """Book one; None where the state has changed. Raises WrongTypeError."""
        redis, keys = self._redis, self._keys
        if commit.compare and not _as_read(redis, keys, commit):
            return None
        if commit.acknowledge:
            self._acknowledged.append(commit.entry_id)
        if commit.ledger_fields:
            redis.hset(keys.ledger(commit.symbol), commit.ledger_fields)
            redis.expire(keys.ledger(commit.symbol), commit.ledger_ttl_ms)
        if booked := [*commit.orders, *_unknown(redis, keys, commit)]:
            remember_orders(redis, keys, commit.symbol, booked, self._now_ms)
            self._remembering[commit.symbol] = None
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
        _keep_unknown(redis, keys, commit, self._now_ms, ended=ended)
        if commit.mark_after and (commit.compare or redis.kind(keys.plan_mark(commit.plan_id)) == "none"):
            redis.set(keys.plan_mark(commit.plan_id), commit.mark_after, ttl_ms=commit.mark_ttl_ms)
        if commit.dead_fields:
            redis.xadd(keys.dead_results, paired(commit.dead_fields), max_len=LONGEST_DEAD)
        if commit.event_fields:
            redis.xadd(keys.events, paired(commit.event_fields), max_len=LONGEST_DEAD)
        return self._now_ms

    def end(self) -> None:
        """Acknowledge what was booked, and forget the oldest orders."""
        for symbol in self._remembering:
            forget_orders(self._redis, self._keys, symbol, self._now_ms)
        for entry_id in self._acknowledged:
            acknowledge_one(self._redis, self._keys.results, entry_id)
        note_acknowledged(
            self._redis, self._keys.results, GROUP, self._keys.last_result_id, self._acknowledged
        )


def _unknown(redis: Keyspace, keys: Keys, commit: ResultCommit) -> list[OrderWrite]:
    """Return the named orders that nothing is known of yet."""
    memory, times = keys.order_memory(commit.symbol), keys.order_times(commit.symbol)
    if (redis.kind(memory), redis.kind(times)) not in (("hash", "zset"), ("none", "none")):
        return []
    known = redis.hash(memory)
    return [order for order in commit.named if order.order_id.encode() not in known]


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
