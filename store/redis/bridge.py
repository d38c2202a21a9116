"""The intent bridge's part of the store on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from brain.identifiers import FencingToken, Symbol
from brain.intents.intent import Lane
from store.bridge_records import WRONG_TYPE, BridgeReply, BridgeState, IntentCommit
from store.bridge_values import EQUITY_FIELDS, PORTFOLIO_FIELDS, lane_stream, packed_answer
from store.errors import StoreError, WrongTypeError
from store.keys import BridgeNames, Keys, PlanStream
from store.redis.client import Command, RedisLink
from store.redis.consumer_group import RedisConsumerGroup
from store.redis.packing import joined
from store.redis.scripts import ScriptRunner

_pack = msgspec.msgpack.encode


class RedisBridge:
    """`BridgeStore` less what it shares with others. `RedisStore` has the links."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    def _open_bridge(self, group_of: Callable[[PlanStream], RedisConsumerGroup], *, shadow: bool) -> None:
        self._bridge = names = BridgeNames(self._keys.prefix, shadow=shadow)
        self.trade_intents = group_of(names.trade_intents)
        self.exit_intents = group_of(names.exit_intents)
        self.harvest_intents = group_of(names.harvest_intents)

    async def bridge_state(self, symbols: Sequence[Symbol], *, with_equity: bool) -> BridgeState:
        names = self._bridge
        commands: list[Command] = [("GET", names.mode)]
        commands += [("GET", names.last_close(symbol)) for symbol in symbols]
        if with_equity:
            commands.append(("HMGET", names.equity, *EQUITY_FIELDS))
            commands.append(("HMGET", names.portfolio, *PORTFOLIO_FIELDS))
        mode, *found = await self._writes.pipeline(commands)
        closes = dict(zip(symbols, map(_text, found), strict=False))
        if not with_equity:
            return BridgeState(_text(mode), closes)
        return BridgeState(_text(mode), closes, _pair(found[-2]), _pair(found[-1]))

    async def answer_intents(
        self, fence: FencingToken, lane: Lane, answers: Sequence[IntentCommit]
    ) -> BridgeReply:
        names = self._bridge
        stream = lane_stream(names, lane)
        packed = (
            names.base, stream.key, stream.group, stream.last_id, stream.dead, names.audit, names.plans,
            not names.shadow,
        )  # fmt: skip
        now_ms, *verdicts = await self._scripts.run(
            "answer_intents", self._keys.prefix, fence, _pack(packed),
            _pack([packed_answer(each, each.basis and joined(each.basis)) for each in answers]),
        )  # fmt: skip
        return BridgeReply(now_ms, tuple(verdict.decode() for verdict in verdicts))


def _text(reply: object) -> bytes | None:
    """Return a text, `!` for one of a wrong type. Raises other errors."""
    if isinstance(reply, WrongTypeError):
        return WRONG_TYPE
    if isinstance(reply, StoreError):
        raise reply
    return reply if isinstance(reply, bytes) else None


def _pair(reply: object) -> tuple[bytes | None, bytes | None]:
    """Return two fields of a hash, none of one of a wrong type. Raises other errors."""
    if isinstance(reply, WrongTypeError):
        return None, None
    if isinstance(reply, StoreError):
        raise reply
    first, second = reply if isinstance(reply, list) else (None, None)
    return first, second
