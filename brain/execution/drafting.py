"""Drafting: one granted plan in, its order out, or the reason for none. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from brain.execution import reasons
from brain.execution.case import ExecutionCase
from brain.execution.sizing import Permitted, size_order
from brain.execution.switches import stopped_by
from brain.numbers import ZERO
from brain.plans.permit import Kind
from brain.plans.plan import PlanDecision
from brain.positions.position import Leg

_SIDES: Final = frozenset({"BUY", "SELL"})
_LEGS: Final = {leg.value: leg for leg in Leg}
_AWAY: Final = "the exchange shows no position"
_NO_SIDE: Final = "permit_unreadable (P3.3: no side or leg of the order)"


class OrderDraft(msgspec.Struct, frozen=True):
    """An order that may be begun. `permitted`: what the permits allow, before it was sized (contracts)."""

    kind: Kind
    side: str
    leg: Leg
    quantity: Decimal
    permitted: Decimal

    @property
    def reduce_only(self) -> bool:
        """Return True if the exchange is to let it reduce alone; hedge mode says so by the leg."""
        return self.kind is Kind.CLOSE and self.leg is Leg.BOTH


class Drafted(msgspec.Struct, frozen=True):
    """A case with its order, or the `error` why none may be sent."""

    case: ExecutionCase
    order: OrderDraft | None
    error: str = ""


def draft(case: ExecutionCase) -> Drafted:
    """Return the order of a granted plan, or the reason why it gets none."""
    found = _order(case)
    return Drafted(case, None, found) if isinstance(found, str) else Drafted(case, found)


def _order(case: ExecutionCase) -> OrderDraft | str:
    kind, permitted, position = case.kind, case.permitted, case.position
    stopped = stopped_by(case.trading_state, kill_switch=case.kill_switch, kind=kind)
    if stopped is not None:
        return stopped
    if case.held and case.decision is not PlanDecision.RECONCILE_CLOSE:
        return reasons.RECONCILE_HOLD_ACTIVE
    side, leg = case.order_side, _LEGS.get(case.leg)
    if kind is Kind.NONE:
        return OrderDraft(kind, "", leg or Leg.BOTH, ZERO, ZERO)
    if side not in _SIDES or leg is None:
        return _NO_SIDE
    if kind is not Kind.CLOSE and not case.in_allowlist:
        return reasons.symbol_not_in_allowlist(case.symbol)
    if position is None and not case.stream_trusted:
        # Neither the stream nor a read shows the account: nothing would show what becomes of the order.
        return reasons.not_sent(_AWAY)
    if case.symbol_rules is None:
        # The exchange lists it no more: a close is what its permit and the position allow.
        quantity = permitted if position is None else min(permitted, position)
        closes = kind is Kind.CLOSE and quantity > ZERO
        return OrderDraft(kind, side, leg, quantity, permitted) if closes else reasons.BELOW_MIN_QTY
    sized = size_order(
        Permitted(kind, permitted, case.qty_scale, case.downsize_factor),
        case.symbol_rules,
        case.limits,
        mark_price=case.mark_price,
        position=position,
    )
    return sized.error or OrderDraft(kind, side, leg, sized.quantity, permitted)
