"""The keys that operators read and change, on a real Redis."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.identifiers import Symbol
from store.execution_records import Switches
from store.keys import ExecutorKeys, GovernorKeys, Keys
from store.notice_records import SeenMark, encode_mark, read_marks, seen_field
from store.operator_records import Hold, OperatorView
from store.operator_values import assumed, hold_texts, read_hold
from store.redis.client import Command, RedisLink
from store.redis.replies import read_time, value_of
from store.redis.runs import unrefused
from store.redis.scripts import ScriptRunner
from store.stored_values import utc_date

_pack = msgspec.msgpack.encode


class RedisOperators:
    """Part of `store.redis.store.RedisStore`."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    async def operator_view(self, symbol: Symbol | None) -> OperatorView:
        keys, executor = GovernorKeys(self._keys, shadow=False), ExecutorKeys(self._keys)
        now_ms = read_time(await self._writes.command("TIME"))
        read = [*executor.switches, keys.disarm(utc_date(now_ms))]
        if symbol is not None:
            read += [self._keys.hold(symbol), executor.hold_reason(symbol), executor.hold_sig(symbol)]
        commands: list[Command] = [("GET", key) for key in read]
        commands.append(("EXISTS", executor.lockdown))
        if symbol is not None:
            commands.append(("PTTL", self._keys.hold(symbol)))
        answers = [value_of(answer) for answer in await self._writes.pipeline(commands)]
        trading_state, kill, global_kill, mode, disarmed = answers[:5]
        switches = Switches(trading_state, kill, global_kill, mode, bool(answers[len(read)]))
        if symbol is None:
            return OperatorView(now_ms, switches, disarmed, None)
        value, reason, sig = answers[5:8]
        return OperatorView(now_ms, switches, disarmed, read_hold(value, reason, sig, answers[-1]))

    async def set_trading_state(self, before: bytes | None, state: str, event: Sequence[str]) -> bool:
        return bool(
            await self._scripts.run(
                "set_trading_state", self._keys.prefix, assumed(before), state, _pack(event)
            )
        )

    async def set_hold(
        self, symbol: Symbol, before: Hold | None, reason: str, sig: str, event: Sequence[str]
    ) -> bool:
        if not sig:
            raise ValueError("a hold has an owner")
        return await self._change_hold(symbol, before, reason, sig, event)

    async def lift_hold(self, symbol: Symbol, before: Hold, event: Sequence[str]) -> bool:
        return await self._change_hold(symbol, before, "", "", event)

    async def mark_seen(
        self, kind: str, subject: str, mark: SeenMark, now_ms: int, event: Sequence[str]
    ) -> bool:
        marked = await self._scripts.run(
            "mark_seen", self._keys.prefix, seen_field(kind, subject), encode_mark(mark), mark.until_ms,
            now_ms, _pack(event),
        )  # fmt: skip
        return bool(marked)

    async def seen_notices(self) -> dict[str, SeenMark]:
        commands: list[Command] = [("TIME",), ("HGETALL", self._keys.seen)]
        now, stored = unrefused(["TIME", self._keys.seen], await self._writes.pipeline(commands))
        return read_marks(stored, read_time(now))

    async def _change_hold(
        self, symbol: Symbol, before: Hold | None, reason: str, sig: str, event: Sequence[str]
    ) -> bool:
        changed = await self._scripts.run(
            "change_hold", self._keys.prefix, symbol, *map(assumed, hold_texts(before)), reason, sig,
            _pack(event),
        )  # fmt: skip
        return bool(changed)
