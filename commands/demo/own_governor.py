"""Refusals of the daemon's own Governor, which judges each plan beside P3.3."""

from __future__ import annotations

import msgspec

from brain.governor.reasons import GovernorReason
from brain.plans.permit import Reason
from commands.demo.outcome import UNANSWERED, Verdict, refused, refused_by_governor
from commands.demo.scenarios import PlanToPublish

#: Of a denial of P3.3: the Governor's reason to refuse the same plan.
_ALSO_REFUSED = {
    Reason.MALFORMED_PLAN.value: GovernorReason.MALFORMED_PLAN,
    Reason.PLAN_EXPIRED.value: GovernorReason.PLAN_EXPIRED,
    # Its side, drawn at random, may be that of a close, which P3.3 does not get to see.
    Reason.RECONCILE_HOLD_ACTIVE.value: GovernorReason.EVAL_TYPE_MISMATCH,
}


def with_refusals(plan: PlanToPublish, *, listed: bool) -> PlanToPublish:
    """Add the Governor's refusals to what is expected: each may come before the answer of P3.3.

    `listed`: the exchange has the symbol.
    """
    also = list(plan.also)
    if not listed:
        # There is no mark price.
        also.append(refused_by_governor(GovernorReason.NO_PORTFOLIO_STATE))
    if plan.expected == UNANSWERED:
        also.append(refused("permit_timeout (missing: Governor, P3.3)"))
    if plan.fields["source"] == "intent_bridge":
        # Now and then a kill score lies above what is usual for its symbol.
        also.append(refused_by_governor(GovernorReason.KILL_SCORE_ENTRY))
    reason = _ALSO_REFUSED.get(plan.expected.reason)
    if reason is not None and plan.expected.verdict is Verdict.DENIED:
        also.append(refused_by_governor(reason))
    return msgspec.structs.replace(plan, also=tuple(also))
