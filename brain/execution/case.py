"""Complete input of the order of a granted plan: no rule of its size and refusal reads anything else."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.execution.sizing import SizeLimits
from brain.execution.switches import TradingState
from brain.identifiers import PlanId, Symbol
from brain.plans.permit import Kind
from brain.plans.plan import PlanDecision
from brain.symbols.symbol_rules import SymbolRules


class ExecutionCase(msgspec.Struct, frozen=True, kw_only=True):
    """Plan whose permits all grant, with every input of its order.

    `kind`, `order_side`, `leg` and `permitted` (contracts) are the terms of P3.3's permit; side and leg are
    empty where it names none. `qty_scale`, `downsize_factor`: the Governor's hints, 1 where it gives none.
    `held`: a hold stands. `symbol_rules` is None for a symbol that the exchange lists no more. `mark_price`
    is None while unknown, `position` (of the leg, without sign) while it is not known to be current.
    `stream_trusted`: the private stream shows what becomes of an order.
    """

    plan_id: PlanId
    symbol: Symbol
    decision: PlanDecision
    kind: Kind
    order_side: str
    leg: str
    permitted: Decimal
    qty_scale: Decimal
    downsize_factor: Decimal
    trading_state: TradingState
    kill_switch: bool
    held: bool
    in_allowlist: bool
    symbol_rules: SymbolRules | None
    mark_price: Decimal | None
    position: Decimal | None
    stream_trusted: bool
    limits: SizeLimits
