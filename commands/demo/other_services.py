"""The other services' writes to Redis and reads from it, simulated by the demo."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import trio

from commands.demo.intents import trade_intent
from commands.demo.keys import GOVERNOR, INTELLIGENCE, KEYS, LANES, RECONCILE, UNIVERSE
from commands.demo.lost_results import LostResults
from commands.demo.machine_load import LoadMeter, NotInTimeError, Patience
from commands.demo.plans import Fields
from commands.demo.record import intent_name
from commands.demo.scenarios import PlanToPublish
from store.redis.client import RedisLink

_KEPT_ENTRIES = 10_000
_GOVERNOR_TTL_SEC = 60
_HOLD_TTL_SEC = 300
_LOOK_SEC = 0.01
_WITHIN_SEC = 3.0
#: A drift settles, and the exchange's trades and orders are read.
_CASE_SEC = 10.0

# One command for all symbols: a thousand commands would distort the measured latencies.
_READ_SYMBOLS = """
local rows = {}
for i = 2, #ARGV do
  local ledger = redis.call('HGET', ARGV[1] .. ':position:ledger:' .. ARGV[i], 'last_known_amt')
  local snapshot = ARGV[1] .. ':position:snapshot:' .. ARGV[i]
  local stored = redis.call('HMGET', snapshot, 'position_amt', 'ts_epoch_ms', 'mark_price')
  local state = redis.call('HGET', ARGV[1] .. ':reconcile:state:' .. ARGV[i], 'status')
  local held = redis.call('EXISTS', ARGV[1] .. ':reconcile:hold:' .. ARGV[i])
  rows[i - 1] = { ledger, stored[1], stored[2], stored[3], state, held }
end
return rows
"""

Command = tuple[bytes | str | int | float, ...]


class SymbolInRedis(msgspec.Struct, frozen=True):
    """A symbol's ledger and snapshot in Redis (signed contracts), None where missing.

    `snapshot_ms` is the snapshot's `ts_epoch_ms`.
    """

    ledger: Decimal | None
    snapshot: Decimal | None
    snapshot_ms: int | None
    priced: bool = True
    #: The reconcile engine's status, empty for none; `held` by anyone.
    case: str = ""
    held: bool = False

    def __str__(self) -> str:
        return f"ledger {shown(self.ledger)} and snapshot {shown(self.snapshot)}"


def shown(amount: Decimal | None) -> str:
    """Format an amount; `missing` for none."""
    return "missing" if amount is None else f"{amount:f}"


class OtherServices:
    """Universe service, publishers, Governor, reconcile engine and executors, as far as Redis sees them."""

    def __init__(self, redis: RedisLink, meter: LoadMeter, *, own_bridge: bool = False) -> None:
        self._redis = redis
        self.own_bridge = own_bridge
        self._meter = meter
        self.lost_results = LostResults(redis, meter)

    async def publish_universe(self, symbols: Sequence[str]) -> None:
        """Publish the universe service's list as of now."""
        now_sec = int(time.time())
        listed = json.dumps({"asof_epoch": now_sec, "symbols": list(symbols)})
        meta = ("stale", "0", "count", len(symbols), "asof_epoch", now_sec, "error", "")
        await self._send(
            ("SET", KEYS.universe_active, listed),
            ("SET", KEYS.universe_last_ok, listed),
            ("HSET", KEYS.universe_meta, *meta),
        )

    async def publish(self, plans: Sequence[PlanToPublish], rng: Random) -> list[str]:
        """Publish plans, or their intents, at the same moment; return the intents' names, "" for a plan.

        A plan of a trade without the bridge has its intent beside it, which other services read.
        """
        entries = [
            _entry(KEYS.plans, plan.fields)
            if plan.intent is None
            else _entry(plan.intent.stream, plan.intent.fields)
            for plan in plans
        ]
        beside = [
            _entry(KEYS.intents, trade_intent(plan.fields, rng).fields)
            for plan in plans
            if plan.intent is None and "confidence" in plan.fields and not self.own_bridge
        ]
        answers = await self._send(*entries, *beside)
        return [
            "" if plan.intent is None else intent_name(plan.intent.stream, entry_id.decode())
            for plan, entry_id in zip(plans, answers, strict=False)
        ]

    async def publish_plan(self, fields: Fields) -> None:
        await self._send(_entry(KEYS.plans, fields))

    async def publish_result(self, fields: Fields) -> None:
        await self._send(_entry(KEYS.results, fields))

    async def grant(self, plan: Fields) -> None:
        """Write the Governor's permit."""
        await self._governor(plan, governor_permit(plan, time.time()))

    async def deny_after_p33(self, plan: Fields) -> None:
        """Write the Governor's deny, after the daemon's answer. Raises NotInTimeError."""
        await self._until(f"a decision on {plan['plan_id']}", ("EXISTS", KEYS.permit(plan["plan_id"])), 1)
        await self._governor(plan, {"granted": False, "reason": "daily_loss_limit"})

    async def note_execution(self, symbol: str) -> None:
        """Write the executor's cooldown key: the time of its last execution."""
        await self._send(("SET", KEYS.cooldown(symbol), time.time_ns() // 1_000_000, "EX", 3600))

    async def hold(self, symbol: str) -> None:
        await self._send(("SET", KEYS.hold(symbol), "drift", "EX", _HOLD_TTL_SEC))

    async def release_hold(self, symbol: str) -> None:
        await self._send(("DEL", KEYS.hold(symbol)))

    async def wait_for_person(self, symbol: str) -> None:
        """Wait until the daemon's reconcile engine calls for a person. Raises NotInTimeError."""
        patience = Patience(_CASE_SEC, self._meter)
        while await self._redis.command("HGET", RECONCILE.state(symbol), "status") != b"MANUAL_REQUIRED":
            if patience.is_over:
                raise NotInTimeError(f"{symbol}: a case that needs a person")
            await trio.sleep(_LOOK_SEC)

    async def wait_for_release(self, symbol: str) -> None:
        """Wait until nobody holds a symbol. Raises NotInTimeError."""
        what = f"{symbol}: the end of its hold"
        await self._until(what, ("EXISTS", KEYS.hold(symbol)), 0, within_sec=_CASE_SEC)

    async def wait_for_revocation(self, plan: Fields) -> None:
        """Wait until the daemon has revoked an unused permit. Raises NotInTimeError."""
        await self._until(f"the end of permit {plan['plan_id']}", ("EXISTS", KEYS.permit(plan["plan_id"])), 0)

    async def wait_for_amounts(
        self, symbol: str, *, ledger: Decimal, snapshot: Decimal, within_sec: float = _WITHIN_SEC
    ) -> None:
        """Wait until a symbol's ledger and snapshot have these amounts. Raises NotInTimeError."""
        patience = Patience(within_sec, self._meter)
        (stored,) = await self.read_symbols([symbol])
        while (stored.ledger, stored.snapshot) != (ledger, snapshot):
            if patience.is_over:
                raise NotInTimeError(f"{symbol}: ledger {ledger:f} and snapshot {snapshot:f}, but {stored}")
            await trio.sleep(_LOOK_SEC)
            (stored,) = await self.read_symbols([symbol])

    async def wait_for_prices(self, symbols: Sequence[str]) -> None:
        """Wait until all snapshots have a mark price, as orders with a limit need. Raises NotInTimeError."""
        patience = Patience(_WITHIN_SEC, self._meter)
        while not all(stored.priced for stored in await self.read_symbols(symbols)):
            if patience.is_over:
                raise NotInTimeError("mark prices of all symbols")
            await trio.sleep(_LOOK_SEC)

    async def read_symbols(self, symbols: Sequence[str]) -> list[SymbolInRedis]:
        """Read the ledgers and snapshots of these symbols."""
        rows = await self._redis.command("EVAL", _READ_SYMBOLS, 0, KEYS.prefix, *symbols)
        return [
            SymbolInRedis(
                _decimal(ledger),
                _decimal(amount),
                None if at_ms is None else int(at_ms),
                bool(mark_price),
                (case or b"").decode(),
                bool(held),
            )
            for ledger, amount, at_ms, mark_price, case, held in rows
        ]

    async def unacknowledged(self) -> int:
        """Count the entries of intents, plans and results that the daemon has not acknowledged."""
        left = 0
        for stream in (*LANES, KEYS.plans, KEYS.results):
            if not await self._redis.command("EXISTS", stream):
                continue
            for group in await self._redis.command("XINFO", "GROUPS", stream):
                last = group[b"last-delivered-id"]
                unread = await self._redis.command("XRANGE", stream, b"(" + last, "+", "COUNT", 1000)
                left += int(group[b"pending"]) + len(unread)
        return left

    async def live_grants(self) -> list[str]:
        """Return the plans with a grant of the Governor that is not settled."""
        plans = await self._redis.command("HKEYS", GOVERNOR.reserved)
        return [plan.decode() for plan in plans]

    async def closing(self) -> dict[str, float]:
        """Return the universe's symbols whose end is announced, with that moment (epoch seconds)."""
        text = await self._redis.command("GET", UNIVERSE.closing)
        return {} if text is None else msgspec.json.decode(text, type=dict[str, float])

    async def counted_results(self) -> int | None:
        """Count the results in the buckets of decision intelligence, None without a bucket."""
        buckets = await self._redis.command("KEYS", INTELLIGENCE.bucket("*"))
        if not buckets:
            return None
        total = 0
        for bucket in buckets:
            counts = await self._redis.command("HGETALL", bucket)
            total += sum(int(count) for field, count in counts.items() if field.startswith(b"decision:"))
        return total

    async def stream_length(self, stream: str) -> int:
        """Count the entries of a stream."""
        return int(await self._redis.command("XLEN", stream))

    async def _governor(self, plan: Fields, permit: dict[str, Any]) -> None:
        key = f"{KEYS.prefix}:permit:{plan['plan_id']}"
        await self._send(("SET", key, json.dumps(permit), "EX", _GOVERNOR_TTL_SEC))

    async def _until(
        self, what: str, question: Command, answer: int, *, within_sec: float = _WITHIN_SEC
    ) -> None:
        patience = Patience(within_sec, self._meter)
        while int(await self._redis.command(*question)) != answer:
            if patience.is_over:
                raise NotInTimeError(what)
            await trio.sleep(_LOOK_SEC)

    async def _send(self, *commands: Command) -> list[Any]:
        answers = await self._redis.pipeline(list(commands))
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


def governor_permit(plan: Fields, now_sec: float) -> dict[str, Any]:
    """Return the permit of a plan as the Governor (P3.2) writes it."""
    try:
        quantity = float(plan.get("qty") or plan.get("close_qty") or 0)
    except ValueError:
        quantity = 0.0
    notional = quantity * float(plan.get("price") or 0)
    return {
        "granted": True,
        "symbol": plan["symbol"],
        "decision": "EXECUTE",
        "computed_qty": quantity if math.isfinite(quantity) else 0.0,
        "computed_notional": notional if math.isfinite(notional) else 0.0,
        "created_at": now_sec,
        "consumed": False,
        "eff_score": "0.0",
        "eff_confidence": "0.0",
        "eff_stale": "True",
        "eff_factor": "1.0",
        "eff_action": "NONE",
        "eff_reason": "missing_eff",
        "downsize_factor": "1.0",
        "extra_cooldown_sec": "0",
    }


def _entry(stream: str, fields: Fields) -> Command:
    pairs = (text for pair in fields.items() for text in pair)
    return ("XADD", stream, "MAXLEN", "~", _KEPT_ENTRIES, "*", *pairs)


def _decimal(raw: bytes | None) -> Decimal | None:
    return None if raw is None else Decimal(raw.decode())
