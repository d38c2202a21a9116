"""Checks of a plan against its leg's position: kind, ledger, cooldown, open permits, quantity.

Each returns the reason for a deny, or None, and the numbers it compared. `checks.py` has their order.
Decimals are exact: the caller sets the decimal context.
"""

from __future__ import annotations

from decimal import Decimal

from brain.decisions.entry_checks import Judgement
from brain.decisions.facts import Facts
from brain.ledger.ledger import Ledger
from brain.numbers import ZERO, NotANumberError, floor_to_step, parse_decimal
from brain.plans.kinds import percent_of, reducing_side, row_for
from brain.plans.permit import Details, Kind, Reason
from brain.plans.plan import Side
from brain.positions.position import Leg, side_of

_LONGEST_STORED = 40
_FRACTION = {100: Decimal(1), 75: Decimal("0.75"), 50: Decimal("0.5")}


#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_OPEN, _ADD, _CLOSE = Kind.OPEN, Kind.ADD, Kind.CLOSE
_BOTH, _LONG, _SHORT = Leg.BOTH, Leg.LONG, Leg.SHORT
_BUY, _SELL = Side.BUY, Side.SELL


def kind(facts: Facts) -> Judgement:
    """Find the plan's kind by the kind table (docs/contract.md, Plans), and deny an impossible one.

    `eval_type` must agree: ENTRY with an open or add, EXIT with a close or with a stop loss update, which
    belongs to an exit. In one-way mode Binance has no `positionSide` LONG or SHORT; it is accepted from
    publishers that always set it, if it agrees with the position, or with the order of an open.
    """
    plan, leg, amount = facts.plan, facts.leg or _BOTH, facts.position
    compared: Details = {"exchange_position_amt": amount, "side": plan.side, "qty": plan.quantity}
    if facts.reconcile_close:
        facts.kind = _CLOSE
        broken = _broken_guardrail(facts)
        if broken is not None:
            return Reason.GUARDRAIL_VIOLATION, compared | {"guardrail": broken}
    row = row_for(plan, leg, amount)
    if isinstance(row.outcome, Reason):
        return row.outcome, compared | {"action": plan.action, "reduce_only": plan.reduce_only}
    facts.kind = row.outcome
    compared["kind"] = row.outcome
    entering = row.outcome is _OPEN or row.outcome is _ADD
    if plan.eval_type and entering is not (plan.eval_type == "ENTRY"):
        return Reason.MALFORMED_PLAN, compared | {"eval_type": f"{plan.eval_type}, of a plan that is not"}
    if row.outcome is _CLOSE:
        if plan.quantity is None and percent_of(plan.action) is None:
            return Reason.UNKNOWN_ACTION, compared | {"action": plan.action}
        if not amount:
            return Reason.NO_POSITION, compared
    if not facts.hedged and (plan.leg is _LONG or plan.leg is _SHORT):
        meant = _SELL if plan.leg is _LONG else _BUY  # the side that reduces that leg
        if entering and plan.side is meant:
            return Reason.MALFORMED_PLAN, compared | {"positionSide": f"{plan.leg}, of the other side"}
        if not entering and reducing_side(leg, amount) is not meant:
            return Reason.REDUCE_ONLY_SIDE_MISMATCH, compared | {"position_side": plan.leg}
    return None, compared


def not_recovering(facts: Facts) -> Judgement:
    """Deny while acknowledged writes may be lost from Redis.

    Opens and adds wait for one permit TTL after Redis restarted or evicted keys. Closes wait only where
    reservations of another process may have been evicted, until those would have expired.
    """
    case, ttl_sec = facts.case, facts.case.rules.permit_ttl_sec
    since_change_sec, since_eviction_sec = (
        (case.now_ms - at_ms) / 1000 if at_ms else None for at_ms in (case.redis_changed_ms, case.evicted_ms)
    )
    compared: Details = {"seconds_since_redis_changed": since_change_sec}
    if since_eviction_sec is not None:
        compared["seconds_since_redis_evicted"] = since_eviction_sec
    if facts.kind is not _CLOSE:
        recovering = any(
            since_sec is not None and since_sec < ttl_sec
            for since_sec in (since_change_sec, since_eviction_sec)
        )
        return (Reason.RECOVERING if recovering else None), compared
    unsure_for_sec = (case.reservations_unsure_until_ms - case.now_ms) / 1000
    if unsure_for_sec <= 0:
        return None, compared
    return Reason.RECOVERING, compared | {"reservations_unsure_for_sec": unsure_for_sec}


def ledger_side(facts: Facts) -> Judgement:
    """Deny if exchange and ledger are on different sides; the next check covers an unreadable ledger."""
    amount, ledger_amount = facts.position, facts.ledger_amount
    if isinstance(ledger_amount, str):
        return None, {"ledger": ledger_amount}
    exchange_side, ledger_side = side_of(amount), side_of(ledger_amount)
    compared: Details = {
        "exchange_position_amt": amount,
        "ledger_position_amt": ledger_amount,
        "exchange_side": exchange_side,
        "ledger_side": ledger_side,
    }
    if exchange_side is ledger_side:
        return None, compared
    if facts.explained_by_permits(amount - ledger_amount):
        return Reason.IN_FLIGHT_PERMIT, compared
    return Reason.RECONCILE_REQUIRED_SIDE_MISMATCH, compared


def ledger_quantity(facts: Facts) -> Judgement:
    """Deny if exchange and ledger differ by more than the tolerance (for an open: at all).

    A missing or unreadable ledger denies. A difference that the orders of open permits explain is
    `in_flight_permit`, not a drift.
    """
    amount, ledger_amount = facts.position, facts.ledger_amount
    compared: Details = {"exchange_position_amt": amount, "tolerance_pct": facts.case.rules.qty_tolerance_pct}
    if isinstance(ledger_amount, str):
        compared |= {"ledger_position_amt": None, "ledger": ledger_amount}
        return Reason.RECONCILE_REQUIRED_QTY_MISMATCH, compared
    difference = amount - ledger_amount
    compared |= {"ledger_position_amt": ledger_amount, "difference": difference}
    if difference.copy_abs() * 100 <= facts.case.rules.qty_tolerance_pct * amount.copy_abs():
        return None, compared
    if facts.explained_by_permits(difference):
        return Reason.IN_FLIGHT_PERMIT, compared
    return Reason.RECONCILE_REQUIRED_QTY_MISMATCH, compared


def cooldown(facts: Facts) -> Judgement:
    """Deny with `cooldown_in_flight` if the last execution is less than `P33_COOLDOWN_SEC` ago.

    Its time is the later of `last_order_time_epoch` of the ledger and the cooldown key
    (`<prefix>:cooldown:last_exec_ts:<symbol>`, epoch ms), both against Redis's clock: see `since_execution`.
    An unreadable key may mean any time, so it denies.
    """
    case, limit_sec = facts.case, facts.case.rules.cooldown_sec
    compared: Details = {"seconds_since_exec": None, "cooldown_sec": limit_sec}
    try:
        since_sec, ignored = since_execution(facts.ledger, case.cooldown_text, case.now_ms, limit_sec)
    except NotANumberError:
        key = f"{case.key_prefix}:cooldown:last_exec_ts:{facts.plan.symbol}"
        stored = ascii((case.cooldown_text or "")[:_LONGEST_STORED])
        return Reason.COOLDOWN_IN_FLIGHT, compared | {"cooldown": "unreadable", "key": key, "stored": stored}
    facts.warnings += ignored
    compared["seconds_since_exec"] = None if since_sec is None else round(since_sec, 3)
    cooling = since_sec is not None and since_sec < limit_sec
    return (Reason.COOLDOWN_IN_FLIGHT if cooling else None), compared


def since_execution(
    ledger: Ledger | str, cooldown_text: str | None, now_ms: float, cooldown_sec: float
) -> tuple[float | None, tuple[str, ...]]:
    """Return the seconds since the later of ledger's and cooldown key's time (None: neither), and warnings.

    `ledger` is a text where it cannot be read: then the key alone counts. A time more than one cooldown in
    the future is ignored, with a warning. Raises NotANumberError for a key that cannot be read.
    """
    times: list[tuple[str, float]] = []
    if not isinstance(ledger, str) and ledger.last_order_sec is not None:
        times.append(("last_order_time_epoch", now_ms / 1000 - float(ledger.last_order_sec)))
    if cooldown_text is not None:
        times.append(("cooldown key", (now_ms - float(parse_decimal(cooldown_text))) / 1000))
    latest_sec: float | None = None
    ignored: tuple[str, ...] = ()
    for source, seconds in times:
        if seconds < -cooldown_sec:
            ignored += (f"{source} is {-seconds:.3f} s in the future: ignored",)
        elif latest_sec is None or seconds < latest_sec:
            latest_sec = seconds
    return latest_sec, ignored


def in_flight(facts: Facts) -> Judgement:
    """Deny a close if open permits cover the whole leg, and an open or add if another is not settled.

    Closes share the position. An open or add never blocks a close, nor a close an open or add.
    """
    closing = facts.kind is _CLOSE
    covered = ZERO
    for permit in facts.live_permits:
        if (permit.kind is _CLOSE) is closing:
            covered += permit.remaining
            if not closing:
                return Reason.IN_FLIGHT_PERMIT, {"open_permit": permit.plan_id, "open_permits_qty": covered}
    if not closing:
        return None, {"open_permits_qty": covered}
    size = facts.position.copy_abs()
    facts.available = size - covered
    compared: Details = {
        "exchange_position_amt": facts.position,
        "open_permits_qty": covered,
        "available_qty": facts.available,
    }
    return (Reason.IN_FLIGHT_PERMIT if facts.available <= 0 else None), compared


def quantity(facts: Facts) -> Judgement:
    """Deny if the quantity, rounded down to the market step, is below the exchange's minimum.

    A close uses a percentage of the available amount, an explicit quantity, or the smaller of both, and never
    more than is available. Where the exchange has stopped trading the symbol, a position may still be closed
    if its step is known, but not opened.
    """
    rules, plan = facts.case.symbol_rules, facts.plan
    closing = facts.kind is _CLOSE
    if rules is None or rules.market_step <= 0 or not (rules.trading or closing):
        return Reason.SYMBOL_NOT_ON_EXCHANGE, {"trading": rules is not None and rules.trading}
    asked = plan.quantity
    if closing:
        percent = percent_of(plan.action)
        share = facts.available if percent is None else facts.available * _FRACTION[percent]
        asked = share if asked is None else min(share, asked)
    floored = floor_to_step(asked or ZERO, rules.market_step)
    if closing and floored > rules.market_max:
        floored = floor_to_step(rules.market_max, rules.market_step)
    compared: Details = {
        "asked_qty": asked,
        "rounded_qty": floored,
        "market_step": rules.market_step,
        "market_min": rules.market_min,
        "market_max": rules.market_max,
    }
    if not floored or floored < rules.market_min:
        return Reason.BELOW_MIN_QTY, compared
    if closing:
        facts.quantity = floored
    return None, compared


def _broken_guardrail(facts: Facts) -> str | None:
    """Return the first guardrail of a RECONCILE_CLOSE that is violated."""
    plan = facts.plan
    if not facts.case.hold:
        return "no hold"
    if plan.reduce_only is not True:
        return "not reduceOnly"
    if plan.order_type.upper() != "MARKET":
        return "not a market order"
    if plan.reason != "reconcile_drift":
        return "reason is not reconcile_drift"
    if plan.quantity is None:
        return "no quantity"
    return "more than the position" if plan.quantity > facts.position.copy_abs() else None
