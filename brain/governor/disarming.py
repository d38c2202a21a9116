"""Auto-disarm: reasons for which the Governor itself stops opens and adds."""

from __future__ import annotations

from brain.execution.switches import TradingState
from brain.governor.facts import Facts
from brain.governor.reasons import DisarmReason, GovernorReason
from brain.numbers import ZERO
from brain.plans.permit import Details

_ONE = 1
#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_ACTIVE, _BURST_LIMIT = TradingState.ACTIVE, GovernorReason.BURST_LIMIT_EXCEEDED
_ERRORS, _DAILY_LOSS, _DRAWDOWN = DisarmReason.ERRORS, DisarmReason.DAILY_LOSS, DisarmReason.DRAWDOWN


def lost_too_much(facts: Facts, guard: DisarmReason, *, certainly: bool = False) -> tuple[bool, Details]:
    """Return whether equity is below the limit of the day's loss or of the drawdown, with both numbers.

    False while equity is unknown, and where the limit is off. `certainly`: a read has shown the loss, and it
    is none that may have been a withdrawal; without a loss there are no numbers then.
    """
    equity, rules = facts.equity, facts.rules
    daily = guard is _DAILY_LOSS
    fraction = rules.max_daily_loss if daily else rules.max_drawdown
    if equity is None or fraction <= ZERO:
        return False, {}
    name, start = ("day_open", equity.day_open) if daily else ("peak", equity.peak)
    least, amount = start * (_ONE - fraction), equity.equity
    if certainly and amount >= least:
        return False, {}
    if certainly and equity.read is not None:
        amount = max(amount, equity.read) + (equity.missed_today if daily else equity.missed)
    return amount < least, {"equity": amount, name: start, f"least_of_{name}": least}


def repeated_errors(facts: Facts) -> Details | None:
    """Return the numbers compared where errors of the last minutes disarm; None where they do not."""
    case, limit = facts.case, facts.rules.disarm_on_error_count
    if not _may_disarm(facts) or not limit or case.errors_5min < limit:
        return None
    return {"errors_300s": case.errors_5min, "error_limit": limit}


def disarms(facts: Facts, reason: GovernorReason | None, compared: Details) -> tuple[str, Details]:
    """Return the reason of an auto-disarm with the numbers compared, empty for none.

    `reason` and `compared` are the judgement's. It happens once a UTC day, and only while trading is active.
    """
    if not _may_disarm(facts):
        return "", {}
    if reason is _BURST_LIMIT and facts.rules.disarm_on_burst_breach:
        return DisarmReason.BURST, compared
    errors = repeated_errors(facts)
    if errors is not None:
        return _ERRORS, errors
    for guard in (_DAILY_LOSS, _DRAWDOWN):
        lost, numbers = lost_too_much(facts, guard, certainly=True)
        if lost:
            return guard, numbers
    return "", {}


def _may_disarm(facts: Facts) -> bool:
    case = facts.case
    return facts.rules.auto_disarm and not case.disarmed_today and case.trading_state is _ACTIVE
