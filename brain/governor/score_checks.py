"""Checks of the kill score (rules 18 to 20). A missing input blocks no exit.

Each returns the reason for a refusal, or None, and the numbers it compared. `checks.py` has their order.
"""

from __future__ import annotations

from brain.governor.facts import Facts
from brain.governor.plan_checks import Verdict
from brain.governor.reasons import GovernorReason
from brain.plans.permit import Details

R = GovernorReason


def critical(facts: Facts) -> Verdict:
    """Refuse an entry whose kill score is critical in itself."""
    score, limit = facts.case.kill_score, facts.rules.kill_score_critical
    compared: Details = {"kill_score": score, "critical": limit}
    return (R.KILL_SCORE_CRITICAL_OPEN if score is not None and score >= limit else None), compared


def given(facts: Facts) -> Verdict:
    """Refuse an entry without a kill score, where one is required."""
    required, score = facts.rules.require_kill_score, facts.case.kill_score
    compared: Details = {"kill_score": score, "required": required}
    return (R.KILL_SCORE_MISSING if required and score is None else None), compared


def warm(facts: Facts) -> Verdict:
    """Refuse an entry while the statistics warm up, where that blocks."""
    case, rules = facts.case, facts.rules
    compared: Details = {
        "observations": 0 if case.stats is None else case.stats.n,
        "warmup": rules.z_warmup,
    }
    blocks = rules.warmup_blocks_entries and case.kill_score is not None and facts.z is None
    return (R.KILL_SCORE_WARMING_UP if blocks else None), compared


def entry(facts: Facts) -> Verdict:
    """Refuse an entry whose kill score deviates too far from what is usual."""
    above = facts.z is not None and facts.cutoff is not None and facts.z > facts.cutoff
    return (R.KILL_SCORE_ENTRY if above else None), {"kill_z": facts.z, "z_cutoff": facts.cutoff}


def leave(facts: Facts) -> Verdict:
    """Refuse an exit whose kill score deviates too far, for a limited time.

    The time runs from the first exit that was blocked, with none below the cut-off since. Where that lies
    ahead, as behind a clock that was set back, it is over.
    """
    now_ms, limit_sec = facts.case.now_ms, facts.rules.exit_block_max_sec
    compared: Details = {"kill_z": facts.z, "z_cutoff": facts.cutoff}
    if facts.z is None or facts.cutoff is None or facts.z <= facts.cutoff:
        facts.exit_blocked_since_ms = None
        return None, compared
    if facts.exit_blocked_since_ms is None:
        facts.exit_blocked_since_ms = now_ms
    blocked_sec = (now_ms - facts.exit_blocked_since_ms) / 1000
    compared |= {"blocked_for_sec": blocked_sec, "limit_sec": limit_sec}
    if not 0 <= blocked_sec < limit_sec:
        facts.exit_block_expired = True
        return None, compared
    return R.KILL_SCORE_EXIT, compared
