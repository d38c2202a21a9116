"""Cases of the permit gate: from the write of a permit to the executor's return."""

from __future__ import annotations

import json
import time
from itertools import count

import msgspec

from bench.contenders import Session
from bench.figures import DAEMON, FLOOR, Figure, latency_figures
from bench.gate_waiter import CONSUMED_PREFIX, SYMBOL
from bench.key_watch import KeyWatch
from bench.plans import PERMIT_PREFIX
from bench.processes import child

#: Waiters by column: one in a thread and one on Trio, both beside the same floor.
_WAITERS = {FLOOR: ("floor", "floor"), DAEMON: ("blocking", "trio")}
_FLAVOURS = ("in a thread", "on trio")
#: Pause between two permits: longer than a waiter needs before it waits for the next.
_APART_SEC = 0.005

_numbers = count()


def wake_up(session: Session) -> list[Figure]:
    """Measure single permits; the next is written when the waiter waits again."""
    figures: list[Figure] = []
    for kind, flavour in zip(_WAITERS[session.contender], _FLAVOURS, strict=True):
        figures += latency_figures(f"permit_gate wake-up, {flavour}", _wake_ups(session, kind))
    return figures


def _wake_ups(session: Session, kind: str) -> list[float]:
    stage, permits, name = session.stage, session.stage.sizes.gate_permits, f"gate-{next(_numbers)}-"
    written_sec: list[float] = []
    arguments = (kind, stage.redis_url, name, str(permits))
    with (
        KeyWatch(stage.redis_url, CONSUMED_PREFIX) as watch,
        child(f"gate-{kind}", stage.folder, "bench.gate_waiter", *arguments) as waiter,
    ):
        # The first one only shows that the waiter is ready.
        for number in range(permits):
            plan_id = f"{name}{number}"
            time.sleep(_APART_SEC)
            written_sec.append(time.perf_counter())
            session.redis.command("SET", PERMIT_PREFIX + plan_id, _permit(plan_id), "PX", 60_000)
            watch.wait_for(plan_id)
        moments = msgspec.json.decode(waiter.first_line(), type=list[float])
    return [seen - written for seen, written in zip(moments, written_sec, strict=True)][1:]


def _permit(plan_id: str) -> str:
    now_sec = time.time()
    return json.dumps(
        {
            "plan_id": plan_id, "symbol": SYMBOL, "allow": True, "reason": "sanity_checks_passed",
            "kind": "close", "side": "LONG", "order_side": "SELL", "leg": "BOTH",
            "exchange_position_amt": 10.0, "ledger_position_amt": 10.0, "ledger_amt": 10.0,
            "snapshot_age_sec": 0.8, "created_at": now_sec, "ts_epoch": int(now_sec),
            "issued_by": "bench bench", "safe_close_qty": 0.001, "safe_qty": 0.001, "plan_qty": 0.001,
        }
    )  # fmt: skip
