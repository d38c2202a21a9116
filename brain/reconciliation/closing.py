"""Proposal of a `RECONCILE_CLOSE` for what the exchange holds beyond the ledger (`P34_CLOSE=excess`)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from brain.identifiers import PlanId, Symbol
from brain.numbers import floor_to_step, plain
from brain.plans.kinds import reducing_side
from brain.plans.plan import RECONCILE_CLOSE_PLAN, PlanDecision
from brain.positions.position import Leg, side_of
from brain.reconciliation.drift import Drift, DriftReason, LegAmounts, drift_signature
from brain.reconciliation.evidence import Explained, Finding
from brain.reconciliation.rules import DriftCause, ReconcileRules
from brain.symbols.symbol_rules import SymbolRules

#: A close is proposed once per drift within this time.
CLOSE_COOLDOWN_SEC = 120
#: Life of the hold while a proposed close is out.
CLOSE_HOLD_SEC = 900

_CLOSABLE = frozenset({DriftCause.MANUAL, DriftCause.RECONCILE_CLOSE, DriftCause.NONE})


class ExcessClose(NamedTuple):
    """Order that would remove an excess: its leg, its side (`BUY`, `SELL`) and quantity (contracts)."""

    leg: Leg
    side: str
    quantity: Decimal


def proves_excess(finding: Finding) -> bool:
    """Return True if no trade that the ledger lacks may be of an own order.

    That is so where the trades explain the drift, and where all were read and there is none. A trade whose
    order is not shown, or a sum that does not come out, proves nothing of the excess.
    """
    return isinstance(finding, Explained) or (finding.gap is None and not finding.growths)


def excess_close(
    drift: Drift,
    causes: Iterable[DriftCause],
    symbol_rules: SymbolRules | None,
    rules: ReconcileRules,
    *,
    held_sec: float,
) -> ExcessClose | None:
    """Return the close to propose for a case that waits for a person; None where there is none.

    There is one only for a `qty_mismatch` of the causes `manual` and `none`, held for `P34_CLOSE_AFTER_SEC`,
    on the first leg of which the exchange holds more than the ledger, on the ledger's side or with a ledger
    of 0. Its quantity is that excess alone, rounded down to the market step.
    """
    if not rules.closes_excess or held_sec < rules.close_after_sec:
        return None
    if drift.reason is not DriftReason.QTY_MISMATCH or not _CLOSABLE.issuperset(causes):
        return None
    if symbol_rules is None or symbol_rules.market_step <= 0:
        return None
    for each in drift.drifted:
        if _is_excess(each):
            excess = min(each.difference.copy_abs(), symbol_rules.market_max)
            quantity = floor_to_step(excess, symbol_rules.market_step)
            if quantity and quantity >= symbol_rules.market_min:
                return ExcessClose(each.leg, str(reducing_side(each.leg, each.exchange)), quantity)
    return None


def close_plan_id(symbol: Symbol, signature: str, at_ms: int) -> PlanId:
    """Return `reconclose:<symbol>:<signature>:<ms>`; other than ASCII characters of a symbol are escaped."""
    name = symbol.encode("ascii", "backslashreplace").decode()
    return PlanId(f"{RECONCILE_CLOSE_PLAN}{name}:{signature}:{at_ms}")


def close_plan(drift: Drift, close: ExcessClose, *, at_ms: int, secret: str) -> dict[str, str]:
    """Return the fields of the plan, within P3.3's guardrails. `at_ms`: Redis's clock.

    `hmac` is HMAC-SHA256 in hex over `plan_id|symbol|qty|ts|signature`, absent where `secret` is empty.
    """
    signature = drift_signature(drift)
    plan_id = close_plan_id(drift.symbol, signature, at_ms)
    amounts = next(each for each in drift.legs if each.leg is close.leg)
    quantity = plain(close.quantity)
    fields = {
        "plan_id": plan_id,
        "symbol": drift.symbol,
        "decision": PlanDecision.RECONCILE_CLOSE.value,
        "action": "FULL_CLOSE_PROPOSED",
        "side": close.side,
        "type": "MARKET",
        "qty": quantity,
        "reduceOnly": "true",
        "reason": "reconcile_drift",
        "source": "p3.4",
        "signature": signature,
        "exchange_amt": plain(amounts.exchange),
        "ledger_amt": plain(amounts.ledger),
        "ts": str(at_ms),
        "timestamp": str(at_ms // 1000),
    }
    if close.leg is not Leg.BOTH:
        fields["positionSide"] = close.leg.value
    if secret:
        text = f"{plan_id}|{drift.symbol}|{quantity}|{at_ms}|{signature}"
        fields["hmac"] = hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
    return fields


def close_cooldown_bucket(at_ms: int) -> str:
    """Return the last part of a close's cooldown key: the number of its period of `CLOSE_COOLDOWN_SEC`."""
    return str(at_ms // (CLOSE_COOLDOWN_SEC * 1000))


def _is_excess(amounts: LegAmounts) -> bool:
    """Return True where the exchange holds more, on the ledger's side or with a flat ledger."""
    if not amounts.exchange or amounts.exchange.copy_abs() <= amounts.ledger.copy_abs():
        return False
    return not amounts.ledger or side_of(amounts.exchange) is side_of(amounts.ledger)
