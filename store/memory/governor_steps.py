"""Steps of the Governor (`judge_plans.lua`, `change_grants.lua`, `write_equity.lua`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brain.identifiers import FencingToken, PlanId
from store.governor_records import GovernorCommit, GovernorReply, GrantChange
from store.governor_values import (
    BLOCK_TTL_MS,
    DAILY_TTL_MS,
    DISARM_TTL_MS,
    EXECUTIONS_TTL_MS,
    LAST_EXEC_TTL_MS,
    LATEST_MS,
    LONGEST_EXECUTIONS,
    STATS_FIELDS,
    STATS_TTL_MS,
    WINDOW_TTL_MS,
    PackedBasis,
    PackedDisarm,
    PackedGranted,
    PackedJudgement,
    disarm_mark,
    packed_basis,
    packed_judgement,
    part_of,
    stored_version,
)
from store.keys import ExecutorKeys, GovernorKeys, Keys
from store.memory.consumer_group import LONGEST_DEAD, acknowledge_in_order, acknowledge_one, note_acknowledged
from store.memory.execution_reads import string_at
from store.memory.fencing import check_fence
from store.memory.governor_reads import grants_at, neighbours_texts, own_texts, symbol_texts, window_at
from store.memory.keyspace import Keyspace, paired
from store.stored_values import utc_date

LONGEST_EVENTS, LONGEST_AUDIT = LONGEST_DEAD, 100_000


class GovernorSteps:
    """One script's run: the keys, the clock and the date stay what they are for its length."""

    def __init__(self, redis: Keyspace, keys: Keys, governor: GovernorKeys, fence: FencingToken) -> None:
        """Raise FencedError unless `fence` is the current lease."""
        check_fence(redis, keys, fence)
        self._redis = redis
        self._keys = keys
        self._governor = governor
        self._now_ms = redis.now_ms()
        self._date = utc_date(self._now_ms)
        self._live = 0

    def judge_plans(self, judgements: Sequence[GovernorCommit]) -> GovernorReply:
        """As `GovernorStore.judge_plans`. Raises WrongTypeError."""
        redis, governor = self._redis, self._governor
        packed = [packed_judgement(each, packed_basis) for each in judgements]
        for stream in (governor.plans.key, governor.plans.dead, governor.events, governor.audit):
            redis.stream(stream)
        grants = grants_at(redis, governor)
        self._live = -1 if grants is None else len(grants)
        verdicts: list[str] = []
        for each in packed:
            verdicts.append(self._judge(each))
            if verdicts[-1] not in ("committed", "decided"):
                break
        written = [
            each.entry_id
            for each, verdict in zip(packed, verdicts, strict=False)
            if verdict in ("committed", "decided")
        ]
        note_acknowledged(redis, governor.plans.key, governor.plans.group, governor.plans.last_id, written)
        return GovernorReply(self._now_ms, tuple(verdicts))

    def _judge(self, judgement: PackedJudgement[PackedBasis]) -> str:
        redis, governor, plans = self._redis, self._governor, self._governor.plans
        mark_key = governor.plan_mark(judgement.plan_id)
        found = string_at(redis, mark_key) if redis.kind(mark_key) == "string" else None
        if found is not None and (judgement.mark == "observed" or found != b"observed"):
            acknowledge_one(redis, plans.key, judgement.entry_id, plans.group)
            return "decided"
        if found is not None and not judgement.was_observed:
            return "observed"
        if judgement.basis is not None and not self._holds(judgement.symbol, judgement.basis):
            return "changed"
        if 0 < judgement.deadline_ms < self._now_ms:
            return "late"
        if judgement.version:
            redis.set(governor.version, judgement.version)
        if judgement.stats:
            self._observe(judgement.symbol, judgement.stats)
        if judgement.granted is not None:
            self._count(judgement.plan_id, judgement.symbol, judgement.granted)
        redis.set(mark_key, judgement.mark, ttl_ms=judgement.mark_ttl_ms)
        self._record(judgement.events, judgement.audit)
        if judgement.dead_fields:
            redis.xadd(plans.dead, paired(judgement.dead_fields), max_len=LONGEST_DEAD)
        if judgement.block and not governor.shadow:
            redis.set(governor.block(judgement.plan_id), judgement.block, ttl_ms=BLOCK_TTL_MS)
        if judgement.disarm is not None:
            self._disarm(judgement.disarm)
        acknowledge_one(redis, plans.key, judgement.entry_id, plans.group)
        if judgement.permit and not governor.shadow:
            redis.set(governor.permit(judgement.plan_id), judgement.permit, ttl_ms=judgement.permit_ttl_ms)
        return "committed"

    def _holds(self, symbol: str, basis: PackedBasis) -> bool:
        redis, governor = self._redis, self._governor
        texts = part_of(symbol_texts(redis, governor, symbol, self._date), basis.part)
        if basis.of_symbol != texts:
            return False
        if basis.part in ("entry", "exit"):
            return True
        if basis.date != self._date or basis.own != own_texts(redis, self._keys, governor, self._date):
            return False
        if basis.part == "close":
            return True
        window = window_at(redis, governor, symbol)
        granted = -1 if window is None else len(window.scores(basis.window_from_ms, LATEST_MS))
        return (
            basis.neighbours == neighbours_texts(redis, self._keys, governor)
            and basis.grants == self._live
            and basis.granted == granted
        )

    def _observe(self, symbol: str, stats: Sequence[str]) -> None:
        redis, key = self._redis, self._governor.kill_stats(symbol)
        if redis.kind(key) != "hash":
            redis.delete(key)
        name, *texts = stats
        redis.hset(key, ("v", "1"))
        for field, text in zip(STATS_FIELDS, texts, strict=False):
            if text:
                redis.hset(key, (f"{name}_{field}", text))
            else:
                redis.hdel(key, [f"{name}_{field}".encode()])
        redis.expire(key, STATS_TTL_MS)

    def _count(self, plan_id: PlanId, symbol: str, granted: PackedGranted) -> None:
        redis, governor = self._redis, self._governor
        window = governor.window(symbol)
        if granted.reservation:
            self._reserve(plan_id, granted.reservation)
        if granted.counts and window_at(redis, governor, symbol) is not None:
            redis.zadd(window, granted.granted_ms, plan_id)
            old_ms = granted.granted_ms - WINDOW_TTL_MS
            redis.zrem(
                window, [each for score, each in redis.sorted_set(window).in_order() if score <= old_ms]
            )
            redis.expire(window, WINDOW_TTL_MS)
            self._list_executions(symbol)
        self._sum(symbol, self._date, granted.opened, granted.reduced, granted.last_exec_sec)

    def _reserve(self, plan_id: PlanId, reservation: str) -> None:
        grants = grants_at(self._redis, self._governor)
        if grants is not None:
            self._live += plan_id.encode() not in grants
            self._redis.hset(self._governor.reserved, (plan_id, reservation))

    def _sum(
        self, symbol: str, date: str, opened: str | None, reduced: str | None, last_exec_sec: str | None
    ) -> None:
        redis, governor = self._redis, self._governor
        if opened is not None:
            redis.set(governor.opened(symbol, date), opened, ttl_ms=DAILY_TTL_MS)
        if reduced is not None:
            redis.set(governor.reduced(symbol, date), reduced, ttl_ms=DAILY_TTL_MS)
        if last_exec_sec == "":
            redis.delete(governor.last_exec(symbol))
        elif last_exec_sec is not None:
            redis.set(governor.last_exec(symbol), last_exec_sec, ttl_ms=LAST_EXEC_TTL_MS)

    def _list_executions(self, symbol: str) -> None:
        """Write the newest times of the window for the list's readers."""
        redis, key = self._redis, self._governor.executions(symbol)
        newest = redis.sorted_set(self._governor.window(symbol)).scores(0, LATEST_MS)[::-1]
        redis.delete(key)
        if newest:
            redis.rpush(key, [str(int(score) // 1000) for score in newest[:LONGEST_EXECUTIONS]])
            redis.expire(key, EXECUTIONS_TTL_MS)

    def _record(self, events: Sequence[Sequence[str]], audit: Sequence[str]) -> None:
        for event in events:
            self._redis.xadd(self._governor.events, paired(event), max_len=LONGEST_EVENTS)
        if audit:
            self._redis.xadd(self._governor.audit, paired(audit), max_len=LONGEST_AUDIT)

    def _disarm(self, disarm: PackedDisarm) -> None:
        redis, governor = self._redis, self._governor
        key, seconds = governor.disarm(self._date), f"{self._now_ms / 1000:.3f}"
        if redis.kind(key) != "none":
            return
        redis.set(key, disarm_mark(disarm, seconds), ttl_ms=DISARM_TTL_MS)
        reduces = disarm.reduces and not governor.shadow
        self._record(
            [(
                "event", "AUTO_DISARM", "reason", disarm.reason, "context", disarm.context,
                "timestamp", seconds, "action_taken", "trading_state=REDUCING" if reduces else "none",
            )],
            (),
        )  # fmt: skip
        if reduces:
            redis.set(ExecutorKeys(self._keys).trading_state, "REDUCING")

    def change_grants(
        self, version: tuple[str, str], changes: Sequence[GrantChange]
    ) -> tuple[bool, ...] | None:
        """As `GovernorStore.change_grants`. Raises WrongTypeError."""
        redis, governor, results = self._redis, self._governor, self._governor.results
        stored = grants_at(redis, governor)
        for stream in (governor.events, governor.audit):
            redis.stream(stream)
        for change in changes:
            if change.entry_id:
                redis.stream(results.key)
        before, after = map(stored_version, version)
        found = string_at(redis, governor.version) or b""
        if found != before or stored is None or not _are_stored(stored, changes):
            return None
        if after != before:
            redis.set(governor.version, after)
        written = []
        for change in changes:
            written.append(self._may_settle(change))
            if written[-1]:
                self._settle(change)
                self._record(change.events, change.audit)
            if change.entry_id:
                acknowledge_in_order(redis, results.key, results.group, results.last_id, change.entry_id)
            if not written[-1]:
                break
        return tuple(written)

    def _may_settle(self, change: GrantChange) -> bool:
        """Delete the permit of a grant that ends; return False where it had to be there, and is consumed."""
        if change.becomes or self._governor.shadow:
            return True
        deleted = self._redis.delete(self._governor.permit(change.plan_id))
        return deleted or not change.only_if_unconsumed

    def _settle(self, change: GrantChange) -> None:
        redis, governor = self._redis, self._governor
        if change.becomes:
            redis.hset(governor.reserved, (change.plan_id, change.becomes))
        else:
            redis.hdel(governor.reserved, [change.plan_id.encode()])
        if not change.symbol:
            return
        if change.uncount and window_at(redis, governor, change.symbol) is not None:
            redis.zrem(governor.window(change.symbol), [change.plan_id.encode()])
            self._list_executions(change.symbol)
        self._sum(change.symbol, change.date, change.opened, change.reduced, change.last_exec_sec)

    def write_equity(self, fields: Mapping[str, str]) -> None:
        """As `GovernorStore.write_equity`. Raises WrongTypeError."""
        self._redis.hset(self._governor.equity, [text for field in fields.items() for text in field])


def _are_stored(stored: Mapping[bytes, bytes], changes: Sequence[GrantChange]) -> bool:
    """Return whether each reservation is the stored one, as the changes before it leave it."""
    expected: dict[PlanId, bytes] = {}
    for change in changes:
        found = expected.get(change.plan_id, stored.get(change.plan_id.encode(), b""))
        if found != change.reservation.encode():
            return False
        expected[change.plan_id] = change.becomes.encode()
    return True
