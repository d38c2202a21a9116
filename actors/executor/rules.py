"""Rules of the executor, which its settings give."""

from __future__ import annotations

import msgspec

from brain.execution.sizing import SizeLimits
from brain.plans.plan import PlanDecision
from permit_gate.rules import GateRules
from permit_gate.sources import GOVERNOR, P33, PermitSource


class ExecutorRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules. Durations are in the unit of their name; `hold_ttl_sec` is that of P3.4's holds.

    `extra_permits` are needed for EXECUTE besides those of the Governor and P3.3. A plan whose source is
    neither empty nor in `source_allowlist` needs a permit of P3.3 before anything else is said of it.
    `dry_run`: nothing is consumed and nothing sent. `gate` has the key prefix, the age limit of permits and
    the key of their signatures; its consumer is the instance.
    """

    gate: GateRules
    limits: SizeLimits
    instance: str
    dry_run: bool = False
    permit_wait_ms: int = 1200
    plan_max_age_ms: int = 5_000
    source_allowlist: frozenset[str] = frozenset({"intent_bridge", "apply_layer", "exit_management_agent"})
    extra_permits: tuple[PermitSource, ...] = ()
    recv_window_ms: int = 3_000
    unknown_settle_sec: float = 30.0
    hold_ttl_sec: float = 300.0
    max_parallel: int = 16
    set_leverage: bool = True
    manual_lane: bool = False

    def sources_of(self, decision: PlanDecision) -> tuple[PermitSource, ...]:
        """Return the permits that a plan of this decision needs."""
        if decision is PlanDecision.RECONCILE_CLOSE:
            return (P33,)
        return (GOVERNOR, P33, *self.extra_permits)
