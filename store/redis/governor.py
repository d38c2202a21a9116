"""The Governor's part of the store on a real Redis, with that of the operators' commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from brain.identifiers import FencingToken, Symbol
from store.governor_records import (
    GovernorBasis,
    GovernorCommit,
    GovernorReply,
    GovernorState,
    GrantChange,
    StoredEquity,
)
from store.governor_values import (
    EQUITY_FIELDS,
    Texts,
    granted_in,
    neighbours_texts,
    own_texts,
    packed_change,
    packed_judgement,
    part_of,
    read_account,
    read_symbol,
    stored_version,
    symbol_texts,
)
from store.keys import GovernorKeys, Keys, PlanStream
from store.records import RedisRun
from store.redis.client import RedisLink, naming
from store.redis.consumer_group import RedisConsumerGroup
from store.redis.packing import joined
from store.redis.runs import ComparedRun
from store.redis.scripts import ScriptRunner

_pack = msgspec.msgpack.encode
#: Texts of a symbol that the Governor itself writes, before those of others.
_OWN_TEXTS = 12


class RedisGovernor:
    """`GovernorStore` less what it shares with others. `RedisStore` has the links."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    def _open_governor(self, group_of: Callable[[PlanStream], RedisConsumerGroup], *, shadow: bool) -> None:
        self._governor = keys = GovernorKeys(self._keys, shadow=shadow)
        self._governor_run = ComparedRun(self._writes, self._keys)
        self.judged_plans = group_of(keys.plans)
        self.settled_results = group_of(keys.results)

    async def governor_run(self, known_run_id: str | None) -> RedisRun:
        return await self._governor_run.compare(known_run_id)

    async def governor_state(self, symbols: Sequence[Symbol]) -> GovernorState:
        keys = self._governor
        now_ms, own, neighbours, reserved, heat, *found = await self._scripts.run(
            "governor_state", self._keys.prefix, keys.base, *symbols
        )
        grants = None if reserved is None else dict(zip(reserved[::2], reserved[1::2], strict=True))
        return GovernorState(
            now_ms=now_ms,
            account=read_account(tuple(own), tuple(neighbours), grants),
            symbols={
                symbol: read_symbol(tuple(texts), window)
                for symbol, (texts, window) in zip(symbols, found, strict=True)
            },
            heat=heat,
        )

    async def judge_plans(self, fence: FencingToken, judgements: Sequence[GovernorCommit]) -> GovernorReply:
        keys = self._governor
        names = (
            keys.base, keys.plans.key, keys.plans.group, keys.plans.last_id, keys.plans.dead, keys.events,
            keys.audit, not keys.shadow,
        )  # fmt: skip
        now_ms, *verdicts = await self._scripts.run(
            "judge_plans", self._keys.prefix, fence, _pack(names),
            _packed(judgements), losses=self._governor_run.losses,
        )  # fmt: skip
        return GovernorReply(now_ms, tuple(verdict.decode() for verdict in verdicts))

    async def change_grants(
        self, fence: FencingToken, version: tuple[str, str], changes: Sequence[GrantChange]
    ) -> tuple[bool, ...] | None:
        keys = self._governor
        names = (
            keys.base, keys.results.key, keys.results.group, keys.results.last_id, keys.events, keys.audit,
            not keys.shadow,
        )  # fmt: skip
        written = await self._scripts.run(
            "change_grants", self._keys.prefix, fence, _pack(names), *map(stored_version, version),
            _pack([packed_change(each) for each in changes]),
        )  # fmt: skip
        return None if written is None else tuple(map(bool, written))

    async def stored_equity(self) -> StoredEquity:
        with naming(self._governor.equity):
            return StoredEquity(*await self._writes.command("HMGET", self._governor.equity, *EQUITY_FIELDS))

    async def write_equity(self, fence: FencingToken, fields: Mapping[str, str]) -> None:
        named = [text for field in fields.items() for text in field]
        await self._scripts.run("write_equity", self._keys.prefix, fence, self._governor.equity, *named)


def _packed(judgements: Sequence[GovernorCommit]) -> bytes:
    """Pack judgements with their stored texts joined, as the script joins those that it finds.

    They are packed as text, whatever their bytes are: the scripts of Redis 6.2 cannot unpack msgpack's binary
    type. Texts of the account and of other services are the same in many judgements of a batch.
    """
    bases = _JoinedBases()
    return _pack([packed_judgement(each, bases.packed) for each in judgements])


class _JoinedBases:
    """Bases of one batch, as the script takes them."""

    def __init__(self) -> None:
        self._joined: dict[Texts, msgspec.Raw] = {}

    def packed(self, basis: GovernorBasis) -> tuple[object, ...]:
        account, symbol, part = basis.account, basis.symbol, basis.part
        own, texts = self._once(own_texts(account)), symbol_texts(symbol)
        if part:
            return (own, None, None, joined(part_of(texts, part)), None, None, None, basis.date, part)
        return (
            own, self._once(neighbours_texts(account)), basis.grants, joined(texts[:_OWN_TEXTS]),
            self._once(texts[_OWN_TEXTS:]), granted_in(symbol), basis.window_from_ms, basis.date, part,
        )  # fmt: skip

    def _once(self, texts: Texts) -> msgspec.Raw:
        known = self._joined.get(texts)
        if known is None:
            known = self._joined[texts] = joined(texts)
        return known
