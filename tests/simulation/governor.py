"""The played Governor, and a third source of permits: a grant, a refusal, or nothing, early or late."""

from __future__ import annotations

import json
from random import Random

import trio
import trio.lowlevel

from store.keys import ExecutorKeys, Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.books import Published
from tests.simulation.executions import governor_permit, third_permit
from tests.simulation.trace import Trace

_PERMIT_TTL_MS = 60_000
_BLOCK_TTL_MS = 3_600_000
#: An executor waits for 1.2 s: the last of these is too late.
_DELAYS_SEC = (0.0, 0.0, 0.001, 0.02, 0.3, 0.3, 1.0, 1.19, 2.0)
_REFUSED = 0.06
_DENIED = 0.09
_SILENT = 0.13
_UNUSABLE = 0.18
#: Texts of the third source, of which the plain `1` grants, and how often it is the first to answer.
_FIRST = 0.5
_THIRDS = ("1",) * 12 + ("0", "true", "11", "")
_REASONS = ("symbol_cooldown", "hourly_limit_exceeded", "kill_score_entry", "no_portfolio_state")
_FACTORS = ("1.0", "1.0", "0.5", "")


class ServiceGovernor:
    """Stands where the service's own Governor judges."""

    def __init__(self) -> None:
        self.grants_all = False

    async def judge(self, _: Published) -> None:
        """Leave the plan to the service."""
        await trio.lowlevel.checkpoint()


class Governor:
    """Judges every plan that is published, as the other half of the permits."""

    def __init__(self, redis: MemoryRedis, keys: Keys, rng: Random, trace: Trace, *, has_third: bool) -> None:
        """`has_third`: the executor asks a third source, too."""
        #: Grant every plan at once, while nothing may go wrong.
        self.grants_all = False
        self._has_third = has_third
        self._redis = redis
        self._keys = keys
        self._rng = rng
        self._trace = trace

    async def judge(self, plan: Published) -> None:
        """Grant, refuse or ignore one plan. A reconcile close needs none, and has one at times."""
        rng = self._rng
        if self.grants_all:
            self._grant(plan)
            self._write_third(plan, "1")
            return
        third_is_first = self._has_third and rng.random() < _FIRST
        if third_is_first:
            self._write_third(plan, rng.choice(_THIRDS))
        await trio.sleep(rng.choice(_DELAYS_SEC))
        draw = rng.random()
        if draw < _REFUSED:
            self._block(plan)
        elif draw < _DENIED:
            self._write(plan, self._permit(plan) | {"granted": False, "reason": rng.choice(_REASONS)})
        elif draw < _SILENT:
            return
        elif draw < _UNUSABLE:
            self._write_unusable(plan)
        else:
            self._grant(plan)
        if self._has_third and not third_is_first:
            await trio.sleep(rng.choice(_DELAYS_SEC[:-1]))
            self._write_third(plan, rng.choice(_THIRDS))

    def _write_third(self, plan: Published, text: str) -> None:
        """Write the third source's permit; nothing where there is none, or nothing is to be written."""
        if self._has_third and text:
            key = third_permit(self._keys, plan.plan_id)
            self._redis.set(key, text, ttl_ms=_PERMIT_TTL_MS)
            self._trace.note(f"third {plan.plan_id} {text}")

    def _grant(self, plan: Published) -> None:
        scale = {"qty_scale": 1, "downsize_factor": "1.0"} if self.grants_all else {}
        self._write(plan, self._permit(plan) | scale)

    def _permit(self, plan: Published) -> dict[str, object]:
        factor = self._rng.choice(_FACTORS)
        return {
            "granted": True,
            "symbol": plan.symbol,
            "decision": "EXECUTE",
            "computed_qty": 1.0,
            "computed_notional": 100.0,
            "created_at": self._redis.now_ms() / 1000,
            "consumed": False,
            "eff_score": "",
            "eff_confidence": "",
            "eff_stale": "1",
            "eff_factor": "1.0",
            "eff_action": "NONE",
            "eff_reason": "",
            "downsize_factor": factor,
            "extra_cooldown_sec": "0",
            "plan_id": plan.plan_id,
            "qty_scale": self._rng.choice((1, 1, 0.5)),
        }

    def _write(self, plan: Published, permit: dict[str, object]) -> None:
        self._redis.set(governor_permit(self._keys, plan.plan_id), json.dumps(permit), ttl_ms=_PERMIT_TTL_MS)
        self._trace.note(f"governor {plan.plan_id} {permit['granted']}")

    def _write_unusable(self, plan: Published) -> None:
        """Write what no executor may take for a grant: another symbol's, one of long ago, no JSON, a hash."""
        rng, permit = self._rng, self._permit(plan)
        kind = rng.randrange(4)
        key = governor_permit(self._keys, plan.plan_id)
        if kind == 0:
            self._write(plan, permit | {"symbol": "OTHERUSDT"})
        elif kind == 1:
            self._write(plan, permit | {"created_at": self._redis.now_ms() / 1000 - 3600})
        elif kind == 2:
            self._redis.set(key, "1", ttl_ms=_PERMIT_TTL_MS)
        else:
            self._redis.hset(key, {"allow": "true", "symbol": plan.symbol})
            self._redis.pexpire(key, _PERMIT_TTL_MS)

    def _block(self, plan: Published) -> None:
        block = {"reason": self._rng.choice(_REASONS), "timestamp": self._redis.now_ms() / 1000}
        text = json.dumps(block | {"symbol": plan.symbol})
        self._redis.set(ExecutorKeys(self._keys).block(plan.plan_id), text, ttl_ms=_BLOCK_TTL_MS)
        self._trace.note(f"governor {plan.plan_id} blocks")
