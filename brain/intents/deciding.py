"""The rules of the bridge: what becomes of an intent. The first rule that strikes answers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from brain.identifiers import PlanId
from brain.intents.answer import ENTRY, EXIT, Answer
from brain.intents.case import IntentCase
from brain.intents.intent import Intent, Lane, MalformedIntent
from brain.intents.plan_text import (
    ENTRY_PROPOSED,
    FULL_CLOSE,
    NAMED_PARTS,
    PARTIAL,
    plan_fields,
    plan_id_of,
)
from brain.intents.reasons import IntentReason
from brain.intents.sizing import (
    LARGEST,
    is_too_small,
    of_position,
    rounded_down,
    wanted_quantity,
    within_notional,
)
from brain.numbers import EXACT, ZERO, plain
from brain.plans.kinds import reducing_side
from brain.plans.permit import Details
from brain.plans.plan import Side
from brain.positions.position import Leg

_HUNDRED: Final = Decimal(100)
Refusal = tuple[IntentReason, Details]
_NO_PLAN: Final = PlanId("")


class _RefusedError(Exception):
    """A rule has struck."""

    def __init__(self, reason: IntentReason, details: Details, eval_type: str = "") -> None:
        super().__init__(reason)
        self.reason, self.details, self.eval_type = reason, details, eval_type


def decide(case: IntentCase) -> Answer:
    """Return the plan of an intent, or the reason why there is none."""
    plan_id = plan_id_of(case.intent)
    try:
        _not_expired(case)
        return _close(case, plan_id) if case.intent.closes else _order(case, plan_id)
    except _RefusedError as refused:
        return Answer(
            plan_id=plan_id, reason=refused.reason, eval_type=refused.eval_type, details=refused.details
        )


def refuse_malformed(malformed: MalformedIntent) -> Answer:
    """Return the refusal of an intent that cannot be read."""
    return Answer(plan_id=_NO_PLAN, reason=IntentReason.MALFORMED_INTENT, details={**malformed.problems})


def refuse(intent: Intent | MalformedIntent, reason: IntentReason, details: Details) -> Answer:
    """Return a refusal that does not follow from a case."""
    plan_id = plan_id_of(intent) if isinstance(intent, Intent) else _NO_PLAN
    return Answer(plan_id=plan_id, reason=reason, details=details)


def deadline_ms(case: IntentCase) -> int:
    """Return the last moment for the plan to be written (Redis's clock); 0 where the age is unknown."""
    return 0 if case.published_ms is None else case.published_ms + round(_max_age_sec(case) * 1000)


def _max_age_sec(case: IntentCase) -> float:
    rules = case.rules
    return rules.max_age_sec if case.intent.lane is Lane.TRADE else rules.exit_max_age_sec


def _not_expired(case: IntentCase) -> None:
    age_sec = None if case.published_ms is None else (case.now_ms - case.published_ms) / 1000
    limit_sec = _max_age_sec(case)
    if age_sec is None or age_sec > limit_sec:
        raise _RefusedError(IntentReason.INTENT_EXPIRED, {"intent_age_sec": age_sec, "limit_sec": limit_sec})


def _close(case: IntentCase, plan_id: PlanId) -> Answer:
    """Close all, or the part that the intent asks for. P3.3 computes the parts that have a name."""
    intent = case.intent
    if _closes_nothing(case):
        raise _RefusedError(IntentReason.FLAT_CLOSE, {"position_amt": case.position}, EXIT)
    action, quantity = FULL_CLOSE, ZERO
    if intent.fraction is not None:
        action = NAMED_PARTS.get(intent.fraction, PARTIAL)
        if action == PARTIAL:
            if case.position is None:
                raise _RefusedError(IntentReason.NO_EXCHANGE_SNAPSHOT, {"fraction": intent.fraction}, EXIT)
            quantity = _rounded(of_position(case.position, intent.fraction), case, EXIT)
    elif intent.quantity is not None or intent.notional is not None:
        quantity = _rounded(_wanted(case, EXIT), case, EXIT)
        whole = case.position is not None and quantity >= case.position.copy_abs()
        action = FULL_CLOSE if intent.lane is Lane.TRADE or whole else PARTIAL
    return _plan(case, plan_id, action, quantity, EXIT)


def _closes_nothing(case: IntentCase) -> bool:
    """Return True if the position is known, and is flat or not the one that the intent closes."""
    position, intent = case.position, case.intent
    if position is None:
        return False
    if not position:
        return True
    if case.hedge_mode or intent.of_leg is None:
        return False
    return position.is_signed() is not (intent.of_leg is Leg.SHORT)


def _order(case: IntentCase, plan_id: PlanId) -> Answer:
    """Buy or sell. What reduces the position, and no more than that, passes every rule of entries."""
    position, sells = case.position or ZERO, case.intent.side is Side.SELL
    if case.rules.skip_flat_sell and sells and case.position is not None and not position:
        raise _RefusedError(IntentReason.FLAT_CLOSE, {"position_amt": position}, ENTRY)
    if only_reduces(case):
        quantity = rounded_down(_wanted(case, EXIT), case.steps)
        return _plan(case, plan_id, ENTRY_PROPOSED, _rounded(quantity, case, EXIT), EXIT)
    for rule in _ENTRY_RULES:
        if (struck := rule(case)) is not None:
            raise _RefusedError(*struck, ENTRY)
    quantity = _capped(_wanted(case, ENTRY), case)
    quantity = _rounded(quantity, case, ENTRY)
    reduces = _is_against(case) and quantity <= position.copy_abs()
    if not reduces and (struck := _exposure(case, quantity)) is not None:
        raise _RefusedError(*struck, ENTRY)
    return _plan(case, plan_id, ENTRY_PROPOSED, quantity, EXIT if reduces else ENTRY)


def only_reduces(case: IntentCase) -> bool:
    """Return True for an order that reduces the position, and no more: it rests on no rule of entries."""
    if not _is_against(case):
        return False
    return rounded_down(_wanted(case, EXIT), case.steps) <= (case.position or ZERO).copy_abs()


def _is_against(case: IntentCase) -> bool:
    position = case.position or ZERO
    return bool(position) and case.intent.side is reducing_side(_leg(case), position)


def _leg(case: IntentCase) -> Leg:
    return case.intent.leg or Leg.BOTH if case.hedge_mode else Leg.BOTH


def _lockdown(case: IntentCase) -> Refusal | None:
    return (IntentReason.LOCKDOWN, {}) if case.lockdown else None


def _universe(case: IntentCase) -> Refusal | None:
    listed = case.steps is not None
    if case.in_universe and listed:
        return None
    return IntentReason.SYMBOL_NOT_IN_UNIVERSE, {"in_universe": case.in_universe, "on_exchange": listed}


def _anti_churn(case: IntentCase) -> Refusal | None:
    if case.rules.min_hold_sec <= 0:
        return None
    limit_sec = case.rules.min_hold_sec
    if case.last_close_unreadable:
        return IntentReason.ANTI_CHURN, {"seconds_since_close": None, "limit_sec": limit_sec}
    if case.last_close_ms is None:
        return None
    since_sec = (case.now_ms - case.last_close_ms) / 1000
    if since_sec >= limit_sec:
        return None
    return IntentReason.ANTI_CHURN, {"seconds_since_close": since_sec, "limit_sec": limit_sec}


_ENTRY_RULES: Final[tuple[Callable[[IntentCase], Refusal | None], ...]] = (_lockdown, _universe, _anti_churn)


def _exposure(case: IntentCase, quantity: Decimal) -> Refusal | None:
    limit = case.rules.max_exposure_pct
    if limit is None:
        return None
    exposure, price = case.exposure, case.mark_price
    if exposure is None or exposure.notional is None or not exposure.equity or price is None:
        return IntentReason.EXPOSURE, {"exposure_pct": None, "limit_pct": limit}
    after = EXACT.add(exposure.notional, EXACT.multiply(quantity, price))
    if exposure.equity > ZERO and EXACT.multiply(after, _HUNDRED) <= EXACT.multiply(exposure.equity, limit):
        return None
    percent = float(after) / float(exposure.equity) * 100
    return IntentReason.EXPOSURE, {"exposure_pct": round(percent, 3), "limit_pct": limit}


def _wanted(case: IntentCase, eval_type: str) -> Decimal:
    quantity = wanted_quantity(case)
    if quantity is None:
        raise _RefusedError(IntentReason.NO_PRICE, {}, eval_type)
    if quantity >= LARGEST:
        details: Details = {"size": f"more than any order has: {quantity:.3E}"}
        raise _RefusedError(IntentReason.MALFORMED_INTENT, details, eval_type)
    return quantity


def _capped(quantity: Decimal, case: IntentCase) -> Decimal:
    """Return the quantity of an entry, cut to the largest notional at the mark price."""
    if not case.rules.max_notional:
        return quantity
    if case.mark_price is None:
        raise _RefusedError(IntentReason.NO_PRICE, {}, ENTRY)
    return within_notional(quantity, case.mark_price, case.rules.max_notional)


def _rounded(quantity: Decimal, case: IntentCase, eval_type: str) -> Decimal:
    rounded = rounded_down(quantity, case.steps)
    if is_too_small(rounded, case.steps):
        least = None if case.steps is None else case.steps.least
        details: Details = {"quantity": plain(quantity), "min_qty": least}
        raise _RefusedError(IntentReason.BELOW_MIN_QTY, details, eval_type)
    return rounded


def _plan(case: IntentCase, plan_id: PlanId, action: str, quantity: Decimal, eval_type: str) -> Answer:
    fields = plan_fields(
        case.intent,
        plan_id,
        action=action,
        quantity=quantity,
        eval_type=eval_type,
        mark_price=case.mark_price,
        hedge_mode=case.hedge_mode,
        rules=case.rules,
    )
    return Answer(plan_id=plan_id, eval_type=eval_type, plan=fields)
