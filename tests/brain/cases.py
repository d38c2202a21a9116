"""A plan, a case and a position to start an example from: everything is in order until an example says not.

By default a reduce-only SELL of 75 % of a LONG 0.038, which is allowed. An example changes what it is about.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from brain.decisions.case import Case, Rules, SnapshotView
from brain.identifiers import PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from brain.plans.permit import Kind, OpenPermit
from brain.plans.plan import Plan, PlanDecision, Side
from brain.positions.position import Leg, LegPosition
from brain.symbols.symbol_rules import SymbolRules

NOW_MS = 1_760_000_000_000

RULES = Rules(
    stale_threshold_sec=10,
    cooldown_sec=15,
    qty_tolerance_pct=Decimal("1.0"),
    plan_max_age_sec=5,
    decision_ttl_sec=3600,
    permit_ttl_sec=60,
    execution_grace_sec=30,
)

BTCUSDT = SymbolRules(
    "BTCUSDT",
    trading=True,
    market_step=Decimal("0.001"),
    market_min=Decimal("0.001"),
    market_max=Decimal(120),
)


def plan(**changes: Any) -> Plan:
    """A plan to close 75 % of a LONG."""
    usual = Plan(
        plan_id=PlanId("plan-1"),
        symbol=Symbol("BTCUSDT"),
        decision=PlanDecision.EXECUTE,
        action="PARTIAL_75",
        side=Side.SELL,
        quantity=None,
        reduce_only=True,
        leg=None,
        order_type="MARKET",
        source="harvest",
        reason="",
        eval_type="",
        timestamp_sec=None,
    )
    return msgspec.structs.replace(usual, **changes)


def entry(side: Side = Side.BUY, quantity: str = "0.01", **changes: Any) -> Plan:
    """A plan to enter, as the intent bridge writes it."""
    usual = plan(
        action="ENTRY_PROPOSED",
        side=side,
        quantity=Decimal(quantity),
        reduce_only=False,
        source="intent_bridge",
    )
    return msgspec.structs.replace(usual, **changes)


def reconcile_close(**changes: Any) -> Plan:
    """A RECONCILE_CLOSE within its guardrails."""
    usual = plan(
        decision=PlanDecision.RECONCILE_CLOSE,
        action="",
        side=Side.SELL,
        quantity=Decimal("0.01"),
        reason="reconcile_drift",
    )
    return msgspec.structs.replace(usual, **changes)


def snapshot(amount: str, **changes: Any) -> SnapshotView:
    """A fresh one-way snapshot."""
    legs = (LegPosition(Leg.BOTH, Decimal(amount), Decimal(60_000), NOW_MS - 60_000),)
    return msgspec.structs.replace(SnapshotView(legs, NOW_MS - 500, 0.5), **changes)


def hedged(long: str, short: str) -> SnapshotView:
    """A fresh hedge-mode snapshot; the short amount is negative, as Binance sends it."""
    legs = (
        LegPosition(Leg.LONG, Decimal(long), Decimal(60_000), NOW_MS - 60_000),
        LegPosition(Leg.SHORT, Decimal(short), Decimal(60_000), NOW_MS - 60_000),
    )
    return SnapshotView(legs, NOW_MS - 500, 0.5)


def ledger(amount: str, **changes: Any) -> StoredLedger:
    """A ledger without an order time, as after an adoption."""
    return msgspec.structs.replace(StoredLedger(last_known_amt=amount), **changes)


def open_permit(kind: Kind, order_side: str, remaining: str, **changes: Any) -> OpenPermit:
    """A live permit on the one-way leg."""
    usual = OpenPermit(PlanId("other"), Leg.BOTH, kind, order_side, Decimal(remaining), NOW_MS + 60_000)
    return msgspec.structs.replace(usual, **changes)


def case(the_plan: Plan | None = None, amount: str = "0.038", **changes: Any) -> Case:
    """A case in which exchange and ledger both hold `amount`."""
    usual = Case(
        plan=the_plan or plan(),
        entry_ms=NOW_MS - 100,
        now_ms=NOW_MS,
        settled=False,
        redis_changed_ms=0,
        in_allowlist=True,
        symbol_rules=BTCUSDT,
        hedge_mode=False,
        hold=False,
        snapshot=snapshot(amount),
        ledger=ledger(amount),
        cooldown_text=None,
        open_permits=(),
        rules=RULES,
    )
    return msgspec.structs.replace(usual, **changes)
