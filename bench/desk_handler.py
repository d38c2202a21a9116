"""Handler of one plan as a desk would write it: one pipeline of reads, compare, one MULTI of writes.

Shared by `bench.hand_written` and `bench.faststream_consumer`. It records nothing, reserves nothing, and what
it has compared may be another by the time it writes. Snapshots come from another service.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from redis.asyncio import Redis

from bench.account import Holding
from bench.floor_writes import GROUP, Fields
from bench.plans import PERMIT_PREFIX, PLANS
from bench.redis_socket import Command

#: HASH: symbol → its market step, read once at a start, as a desk reads the exchange's rules.
STEPS = "bench:steps"

_STALE_MS = 10_000
_COOLDOWN_MS = 15_000
_PERMIT_MS = 60_000
_MARK_MS = 3_660_000
_TOLERANCE = Decimal("0.01")
#: Snapshots of a run are dated so far ahead that none becomes stale in it (ms).
_KEPT_FRESH_MS = 86_400_000


class _State(NamedTuple):
    """Replies of the reads for a plan."""

    mark: bytes | None
    hold: bytes | None
    cooldown: bytes | None
    snapshot: list[bytes | None]
    ledger: list[bytes | None]


class _Verdict(NamedTuple):
    reason: str
    quantity: Decimal = Decimal(0)


def desk_commands(held: Sequence[Holding]) -> list[Command]:
    """Return commands that write what other services of the desk keep: snapshots, and steps."""
    dated_ms = str(round(time.time() * 1000) + _KEPT_FRESH_MS)
    commands: list[Command] = [
        (
            "HSET", f"quantum:position:snapshot:{each.symbol}",
            "position_amt", each.amount_text, "ts_epoch_ms", dated_ms,
        )
        for each in held
    ]  # fmt: skip
    return [*commands, *(("HSET", STEPS, each.symbol, each.step_text) for each in held)]


async def read_steps(redis: Redis) -> dict[bytes, Decimal]:
    """Return the market step of each symbol."""
    steps: Any = redis.hgetall(STEPS)
    return {symbol: Decimal(text.decode()) for symbol, text in (await steps).items()}


class DeskHandler:
    """Answers plans, each with a permit of its own. `steps`: by symbol."""

    def __init__(self, redis: Redis, steps: Mapping[bytes, Decimal]) -> None:
        self._redis = redis
        self._steps = steps

    async def answer(self, fields: Fields, entry_id: bytes | None = None) -> None:
        """Write the permit of a plan that has none. `entry_id`: acknowledged with it."""
        plan_id, symbol = fields[b"plan_id"].decode(), fields[b"symbol"].decode()
        mark_key = f"quantum:p33:plan:{plan_id}"
        async with self._redis.pipeline(transaction=False) as reads:
            reads.get(mark_key)
            reads.get(f"quantum:reconcile:hold:{symbol}")
            reads.get(f"quantum:cooldown:last_exec_ts:{symbol}")
            reads.hmget(f"quantum:position:snapshot:{symbol}", ["position_amt", "ts_epoch_ms"])
            reads.hmget(f"quantum:position:ledger:{symbol}", ["last_known_amt"])
            state = _State(*await reads.execute())
        async with self._redis.pipeline(transaction=True) as writes:
            if state.mark is None:
                now_ms = round(time.time() * 1000)
                verdict = _judge(fields, state, self._steps.get(fields[b"symbol"]), now_ms)
                writes.set(PERMIT_PREFIX + plan_id, _permit(fields, state, verdict, now_ms), px=_PERMIT_MS)
                writes.set(mark_key, b"decided", px=_MARK_MS)
            if entry_id is not None:
                writes.xack(PLANS, GROUP, entry_id)
            await writes.execute()


def _judge(fields: Fields, state: _State, step: Decimal | None, now_ms: int) -> _Verdict:
    amount_text, stamp = state.snapshot
    amount, booked = _number(amount_text), _number(state.ledger[0])
    if step is None:
        return _Verdict("symbol_not_in_allowlist")
    if state.hold is not None:
        return _Verdict("reconcile_hold_active")
    if amount_text is None or stamp is None or now_ms - int(stamp) > _STALE_MS:
        return _Verdict("stale_exchange_state")
    if abs(amount - booked) > abs(amount) * _TOLERANCE:
        return _Verdict("reconcile_required_qty_mismatch")
    if state.cooldown is not None and now_ms - int(state.cooldown) < _COOLDOWN_MS:
        return _Verdict("cooldown_in_flight")
    if fields.get(b"reduceOnly") != b"true":
        return _Verdict("open_permit_granted", _number(fields[b"qty"]) // step * step)
    quantity = min(_number(fields[b"close_qty"]), abs(amount)) // step * step
    return _Verdict("sanity_checks_passed", quantity) if quantity else _Verdict("below_min_qty")


def _number(text: bytes | None) -> Decimal:
    return Decimal(0) if text is None else Decimal(text.decode())


def _permit(fields: Fields, state: _State, verdict: _Verdict, now_ms: int) -> str:
    return json.dumps(
        {
            "plan_id": fields[b"plan_id"].decode(),
            "symbol": fields[b"symbol"].decode(),
            "allow": verdict.quantity > 0,
            "reason": verdict.reason,
            "safe_qty": f"{verdict.quantity:f}",
            "exchange_position_amt": f"{_number(state.snapshot[0]):f}",
            "ledger_amt": f"{_number(state.ledger[0]):f}",
            "created_at": now_ms / 1000,
            "issued_by": "desk",
        }
    )
