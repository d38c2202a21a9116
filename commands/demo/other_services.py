"""What the services around the daemon write to Redis and read from it, all played by the demo."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import trio

from commands.demo.plans import Fields
from store.redis.client import RedisLink

_PREFIX = "quantum"
_KEPT_ENTRIES = 10_000
_GOVERNOR_TTL_SEC = 60
_HOLD_TTL_SEC = 300
_LOOK_SEC = 0.01

PLANS = f"{_PREFIX}:stream:apply.plan"
RESULTS = f"{_PREFIX}:stream:apply.result"
INTENTS = f"{_PREFIX}:stream:trade.intent"

# One command for all symbols: a thousand would take time from what the demo measures.
_BELIEFS = """
local rows = {}
for i = 2, #ARGV do
  local ledger = redis.call('HGET', ARGV[1] .. ':position:ledger:' .. ARGV[i], 'last_known_amt')
  local snapshot = ARGV[1] .. ':position:snapshot:' .. ARGV[i]
  local told = redis.call('HMGET', snapshot, 'position_amt', 'ts_epoch_ms')
  rows[i - 1] = { ledger, told[1], told[2] }
end
return rows
"""

Command = tuple[bytes | str | int | float, ...]


class NotSettledError(Exception):
    """The daemon did not come to it in time; with what was waited for."""


class Believed(msgspec.Struct, frozen=True):
    """What Redis says of a symbol: its ledger and its snapshot (signed contracts), None where missing.

    `snapshot_ms` is the snapshot's `ts_epoch_ms`.
    """

    ledger: Decimal | None
    snapshot: Decimal | None
    snapshot_ms: int | None

    def __str__(self) -> str:
        return f"ledger {shown(self.ledger)} and snapshot {shown(self.snapshot)}"


def shown(amount: Decimal | None) -> str:
    """An amount for people; `missing` for none."""
    return "missing" if amount is None else f"{amount:f}"


class Neighbours:
    """Universe service, publishers, Governor, reconcile engine and executors, as far as Redis sees them."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis

    async def publish_universe(self, symbols: Sequence[str]) -> None:
        """The universe service's list, as of now."""
        now_sec = int(time.time())
        listed = json.dumps({"asof_epoch": now_sec, "symbols": list(symbols)})
        meta = ("stale", "0", "count", len(symbols), "asof_epoch", now_sec, "error", "")
        await self._send(
            ("SET", f"{_PREFIX}:cfg:universe:active", listed),
            ("SET", f"{_PREFIX}:cfg:universe:last_ok", listed),
            ("HSET", f"{_PREFIX}:cfg:universe:meta", *meta),
        )

    async def publish_plans(self, plans: Iterable[Fields], intents: Iterable[Fields]) -> None:
        """Plans at the same moment, after the intents that they came from."""
        await self._send(
            *(_entry(INTENTS, fields) for fields in intents), *(_entry(PLANS, fields) for fields in plans)
        )

    async def publish_result(self, fields: Fields) -> None:
        await self._send(_entry(RESULTS, fields))

    async def grant(self, plan: Fields) -> None:
        """The Governor's yes."""
        await self._governor(plan, {"granted": True, "symbol": plan["symbol"], "plan_id": plan["plan_id"]})

    async def deny_after_p33(self, plan: Fields) -> None:
        """The Governor's no, which it takes longer for than the daemon takes for its answer."""
        await self._until(f"a decision on {plan['plan_id']}", ("EXISTS", _p33_key(plan)), 1)
        await self._governor(plan, {"granted": False, "reason": "daily_loss_limit"})

    async def note_execution(self, symbol: str) -> None:
        """The executor's note of when it executed last."""
        key = f"{_PREFIX}:cooldown:last_exec_ts:{symbol}"
        await self._send(("SET", key, time.time_ns() // 1_000_000, "EX", 3600))

    async def hold(self, symbol: str) -> None:
        await self._send(("SET", _hold_key(symbol), "drift", "EX", _HOLD_TTL_SEC))

    async def release_hold(self, symbol: str) -> None:
        await self._send(("DEL", _hold_key(symbol)))

    async def permit_is_revoked(self, plan: Fields) -> None:
        """Wait until the daemon has taken back a permit that nobody will use. Raises NotSettledError."""
        await self._until(f"the end of permit {plan['plan_id']}", ("EXISTS", _p33_key(plan)), 0)

    async def is_believed(
        self, symbol: str, *, ledger: Decimal, snapshot: Decimal, within_sec: float = 3.0
    ) -> None:
        """Wait until ledger and snapshot of a symbol say so. Raises NotSettledError."""
        believed = Believed(None, None, None)
        with trio.move_on_after(within_sec):
            while True:
                (believed,) = await self.beliefs([symbol])
                if believed.ledger == ledger and believed.snapshot == snapshot:
                    return
                await trio.sleep(_LOOK_SEC)
        raise NotSettledError(f"{symbol}: ledger {ledger:f} and snapshot {snapshot:f}, but {believed}")

    async def beliefs(self, symbols: Sequence[str]) -> list[Believed]:
        """What Redis says of these symbols."""
        rows = await self._redis.command("EVAL", _BELIEFS, 0, _PREFIX, *symbols)
        return [
            Believed(_decimal(ledger), _decimal(amount), None if at_ms is None else int(at_ms))
            for ledger, amount, at_ms in rows
        ]

    async def unsettled(self) -> int:
        """Entries of `apply.plan` and `apply.result` that the daemon has not read or not acknowledged."""
        left = 0
        for stream in (PLANS, RESULTS):
            (group,) = await self._redis.command("XINFO", "GROUPS", stream)
            last = group[b"last-delivered-id"]
            unread = await self._redis.command("XRANGE", stream, b"(" + last, "+", "COUNT", 1000)
            left += int(group[b"pending"]) + len(unread)
        return left

    async def stream_length(self, stream: str) -> int:
        """How many entries a stream holds."""
        return int(await self._redis.command("XLEN", stream))

    async def _governor(self, plan: Fields, permit: dict[str, Any]) -> None:
        key = f"{_PREFIX}:permit:{plan['plan_id']}"
        await self._send(("SET", key, json.dumps(permit), "EX", _GOVERNOR_TTL_SEC))

    async def _until(self, what: str, question: Command, answer: int) -> None:
        with trio.move_on_after(3):
            while True:
                if int(await self._redis.command(*question)) == answer:
                    return
                await trio.sleep(_LOOK_SEC)
        raise NotSettledError(what)

    async def _send(self, *commands: Command) -> None:
        for answer in await self._redis.pipeline(list(commands)):
            if isinstance(answer, Exception):
                raise answer


def _entry(stream: str, fields: Fields) -> Command:
    pairs = (text for pair in fields.items() for text in pair)
    return ("XADD", stream, "MAXLEN", "~", _KEPT_ENTRIES, "*", *pairs)


def _p33_key(plan: Fields) -> str:
    return f"{_PREFIX}:permit:p33:{plan['plan_id']}"


def _hold_key(symbol: str) -> str:
    return f"{_PREFIX}:reconcile:hold:{symbol}"


def _decimal(raw: bytes | None) -> Decimal | None:
    return None if raw is None else Decimal(raw.decode())
