"""In-memory twin of `store.redis.bridge` (`answer_intents.lua`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from brain.identifiers import FencingToken, Symbol
from brain.intents.intent import Lane
from store.bridge_records import WRONG_TYPE, BridgeReply, BridgeState, IntentCommit
from store.bridge_values import EQUITY_FIELDS, LONGEST_AUDIT, LONGEST_PLANS, PORTFOLIO_FIELDS, lane_stream
from store.keys import BridgeNames, Keys, PlanStream
from store.memory.connection import MemoryConnection
from store.memory.consumer_group import LONGEST_DEAD, MemoryConsumerGroup, acknowledge_one, note_acknowledged
from store.memory.fencing import check_fence
from store.memory.keyspace import Keyspace, paired


class MemoryBridge(MemoryConnection):
    """`BridgeStore` less what it shares with others."""

    def _open_bridge(
        self, group_of: Callable[[str, PlanStream], MemoryConsumerGroup], *, shadow: bool
    ) -> None:
        self._bridge = names = BridgeNames(self._keys.prefix, shadow=shadow)
        self.trade_intents = group_of("trade_intents", names.trade_intents)
        self.exit_intents = group_of("exit_intents", names.exit_intents)
        self.harvest_intents = group_of("harvest_intents", names.harvest_intents)

    async def bridge_state(self, symbols: Sequence[Symbol], *, with_equity: bool) -> BridgeState:
        def read() -> BridgeState:
            redis, names = self._keyspace, self._bridge
            mode = _text(redis, names.mode)
            closes = {symbol: _text(redis, names.last_close(symbol)) for symbol in symbols}
            if not with_equity:
                return BridgeState(mode, closes)
            equity = _pair(redis, names.equity, EQUITY_FIELDS)
            return BridgeState(mode, closes, equity, _pair(redis, names.portfolio, PORTFOLIO_FIELDS))

        return await self._call("bridge_state", read)

    async def answer_intents(
        self, fence: FencingToken, lane: Lane, answers: Sequence[IntentCommit]
    ) -> BridgeReply:
        def effect() -> BridgeReply:
            check_fence(self._keyspace, self._keys, fence)
            return _Answers(self._keyspace, self._keys, self._bridge, lane).write(answers)

        return await self._fenced("answer_intents", fence, effect)


class _Answers:
    """One script's run."""

    def __init__(self, redis: Keyspace, keys: Keys, names: BridgeNames, lane: Lane) -> None:
        self._redis = redis
        self._keys = keys
        self._names = names
        self._stream = lane_stream(names, lane)
        self._now_ms = redis.now_ms()

    def write(self, answers: Sequence[IntentCommit]) -> BridgeReply:
        """As `BridgeStore.answer_intents`. Raises WrongTypeError."""
        redis, names, stream = self._redis, self._names, self._stream
        for key in (stream.key, stream.dead, names.audit, *(() if names.shadow else (names.plans,))):
            redis.stream(key)
        verdicts: list[str] = []
        for answer in answers:
            verdicts.append(self._answer(answer))
            if verdicts[-1] not in ("committed", "seen"):
                break
        done = [
            answer.entry_id
            for answer, verdict in zip(answers, verdicts, strict=False)
            if verdict in ("committed", "seen")
        ]
        note_acknowledged(redis, stream.key, stream.group, stream.last_id, done)
        return BridgeReply(self._now_ms, tuple(verdicts))

    def _answer(self, answer: IntentCommit) -> str:
        redis, names, stream = self._redis, self._names, self._stream
        if self._is_seen(answer.mark):
            acknowledge_one(redis, stream.key, answer.entry_id, stream.group)
            return "seen"
        if answer.plan and answer.plan_mark and self._is_seen(answer.plan_mark):
            return "duplicate"
        if not self._holds(answer):
            return "changed"
        if 0 < answer.deadline_ms < self._now_ms:
            return "late"
        redis.set(names.seen(answer.mark), "plan" if answer.plan else "refused", ttl_ms=answer.mark_ttl_ms)
        if answer.plan and answer.plan_mark:
            redis.set(names.seen(answer.plan_mark), "plan", ttl_ms=answer.mark_ttl_ms)
        if answer.closed_ms:
            key = names.last_close(answer.symbol or "")
            redis.set(key, str(answer.closed_ms), ttl_ms=answer.close_ttl_ms)
        if answer.audit:
            redis.xadd(names.audit, paired(answer.audit), max_len=LONGEST_AUDIT)
        if answer.dead_fields:
            redis.xadd(stream.dead, paired(answer.dead_fields), max_len=LONGEST_DEAD)
        acknowledge_one(redis, stream.key, answer.entry_id, stream.group)
        if answer.plan and not names.shadow:
            redis.xadd(names.plans, paired(answer.plan), max_len=LONGEST_PLANS)
        return "committed"

    def _is_seen(self, mark: str) -> bool:
        return self._redis.kind(self._names.seen(mark)) != "none"

    def _holds(self, answer: IntentCommit) -> bool:
        basis, names = answer.basis, self._names
        if basis is None:
            return True
        found = _text(self._redis, names.mode), _text(self._redis, names.last_close(answer.symbol or ""))
        return found == (basis.mode, basis.last_close)


def _text(redis: Keyspace, key: str) -> bytes | None:
    return redis.text(key) if redis.kind(key) in ("string", "none") else WRONG_TYPE


def _pair(redis: Keyspace, key: str, fields: Sequence[str]) -> tuple[bytes | None, bytes | None]:
    if redis.kind(key) != "hash":
        return None, None
    stored, (first, second) = redis.hash(key), fields
    return stored.get(first.encode()), stored.get(second.encode())
