"""Model of the predecessor: one loop that fetches, reads, decides and logs.

When the snapshots are 5 s old, it reads the positions of all candidates, one after another, before the next
ten plans; a plan costs about five round trips. Where reads take longer than 5 s, it answers ten plans a
cycle. `python -m bench.predecessor REDIS_URL
REST_URL SYMBOL…`, until SIGTERM.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx
import redis

from bench.account import API_KEY, signed_query
from bench.plans import GROUP, PERMIT_PREFIX, PLANS

_PLANS_A_READ = 10
POLL_SEC = 5.0
_STALE_SEC = 10
_PERMIT_TTL_SEC = 60


class Predecessor:
    """Loop with its two clients."""

    def __init__(self, redis_url: str, rest_url: str, candidates: list[str]) -> None:
        self._redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self._rest = httpx.Client(base_url=rest_url, headers={"X-MBX-APIKEY": API_KEY}, trust_env=False)
        self._candidates = candidates

    def serve(self) -> None:
        """Run cycles until the process is stopped."""
        refreshed_sec = -POLL_SEC
        while True:
            if time.monotonic() - refreshed_sec >= POLL_SEC:
                refreshed_sec = time.monotonic()
                for symbol in self._candidates:
                    self._refresh(symbol)
            for entry_id, plan in self._read():
                self._decide(plan)
                self._redis.xack(PLANS, GROUP, entry_id)

    def _refresh(self, symbol: str) -> None:
        answer = self._rest.get(f"/fapi/v2/positionRisk?{signed_query({'symbol': symbol})}")
        position = answer.raise_for_status().json()[0]
        now_sec = time.time()
        snapshot: Any = {
            "position_amt": position["positionAmt"],
            "entry_price": position["entryPrice"],
            "mark_price": position["markPrice"],
            "ts_epoch": int(now_sec),
            "ts_epoch_ms": int(now_sec * 1000),
        }
        self._redis.hset(f"quantum:position:snapshot:{symbol}", mapping=snapshot)

    def _read(self) -> list[tuple[str, dict[str, str]]]:
        found: Any = self._redis.xreadgroup(GROUP, "predecessor", {PLANS: ">"}, count=_PLANS_A_READ, block=1)
        if isinstance(found, dict):
            return [entry for batches in found.values() for batch in batches for entry in batch]
        return [entry for _, entries in found for entry in entries]

    def _decide(self, plan: dict[str, str]) -> None:
        symbol = plan["symbol"]
        held = self._redis.exists(f"quantum:reconcile:hold:{symbol}")
        snapshot: Any = self._redis.hgetall(f"quantum:position:snapshot:{symbol}")
        ledger: Any = self._redis.hgetall(f"quantum:position:ledger:{symbol}")
        amount, booked = float(snapshot.get("position_amt", 0)), float(ledger.get("last_known_amt", 0))
        if held:
            allow, reason = False, "reconcile_hold_active"
        elif not snapshot or time.time() - int(snapshot["ts_epoch"]) > _STALE_SEC:
            allow, reason = False, "stale_exchange_state"
        elif abs(amount - booked) > abs(amount) / 100:
            allow, reason = False, "reconcile_required_qty_mismatch"
        else:
            allow, reason = True, "sanity_checks_passed" if amount else "open_permit_granted"
        permit = {
            "plan_id": plan["plan_id"], "symbol": symbol, "allow": allow, "reason": reason,
            "safe_close_qty": abs(amount) if allow else 0, "exchange_position_amt": amount,
            "ledger_amt": booked, "created_at": time.time(),
        }  # fmt: skip
        self._redis.set(PERMIT_PREFIX + plan["plan_id"], json.dumps(permit), ex=_PERMIT_TTL_SEC)
        print(
            f"{symbol}: P3.3 {'ALLOW' if allow else 'DENY'} plan {plan['plan_id']} reason={reason}",
            flush=True,
        )


if __name__ == "__main__":
    Predecessor(sys.argv[1], sys.argv[2], sys.argv[3:]).serve()
