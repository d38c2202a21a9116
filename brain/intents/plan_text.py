"""Fields of the plans that are made of intents, as `apply.plan` has them."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Final

from brain.identifiers import PlanId
from brain.intents.answer import EXIT
from brain.intents.case import BridgeRules
from brain.intents.intent import Intent, Lane
from brain.numbers import EXACT, SMALLEST, ZERO, floor_to_step, plain
from brain.plans.plan import Side
from brain.positions.position import Leg

SOURCE: Final = "intent_bridge"
FULL_CLOSE: Final = "FULL_CLOSE_PROPOSED"
ENTRY_PROPOSED: Final = "ENTRY_PROPOSED"
#: A part that has no name of its own: its quantity says how much.
PARTIAL: Final = "PARTIAL_CLOSE"
#: Parts that do; P3.3 takes them from what is available at the moment of its decision.
NAMED_PARTS: Final = {Decimal("0.5"): "PARTIAL_50", Decimal("0.75"): "PARTIAL_75"}
#: Of an exit intent that names the position's side.
_REDUCING: Final = {Leg.LONG: Side.SELL, Leg.SHORT: Side.BUY}
_SLIPPAGE: Final = Decimal("0.0002")
_ONE, _TWO = Decimal(1), Decimal(2)


def plan_id_of(intent: Intent) -> PlanId:
    """Return the plan's id: of the entry, or of the publisher's own id, alone."""
    named, side = intent.publisher_id or intent.entry_id, intent.side
    text = f"{named}|{intent.symbol}|{side if intent.lane is Lane.TRADE else Side.CLOSE}"
    return PlanId(hashlib.sha256(text.encode()).hexdigest()[:16])


def plan_fields(
    intent: Intent,
    plan_id: PlanId,
    *,
    action: str,
    quantity: Decimal,
    eval_type: str,
    mark_price: Decimal | None,
    hedge_mode: bool,
    rules: BridgeRules,
) -> dict[str, str]:
    """Return a plan's fields. A quantity of 0 means: as the action says."""
    fields = {
        "plan_id": plan_id,
        "decision": "EXECUTE",
        "symbol": intent.symbol,
        "side": _order_side(intent).value,
        "type": "MARKET",
        "qty": plain(quantity),
        "reduceOnly": "true" if intent.closes else "false",
        "action": action,
        "source": intent.source or SOURCE,
        "signature": SOURCE,
        "timestamp": str(int(intent.entry_id.partition("-")[0]) // 1000),
        "eval_type": eval_type,
    }
    leg = intent.leg or (intent.of_leg if hedge_mode else None)
    if leg is not None:
        fields["positionSide"] = leg.value
    fields |= intent.extras
    if eval_type != EXIT:
        fields |= _prices(intent, intent.entry_price or mark_price, rules)
    return fields


def _order_side(intent: Intent) -> Side:
    return intent.side if intent.of_leg is None else _REDUCING[intent.of_leg]


def _prices(intent: Intent, entry: Decimal | None, rules: BridgeRules) -> dict[str, str]:
    """Return the prices of an entry that follow from its price; those that the intent has itself stay."""
    if entry is None:
        return {}
    up = _ONE if intent.side is Side.BUY else -_ONE
    costs = EXACT.add(EXACT.multiply(_TWO, rules.taker_fee_rate), _SLIPPAGE)
    moves = {"breakeven_price": EXACT.multiply(up, costs)}
    if intent.stop_loss_pct is not None:
        moves["stop_loss"] = EXACT.multiply(-up, _part(intent.stop_loss_pct))
    if intent.take_profit_pct is not None:
        moves["take_profit"] = EXACT.multiply(up, _part(intent.take_profit_pct))
    prices = {"entry_price": plain(entry)}
    for name, move in moves.items():
        price = EXACT.multiply(entry, EXACT.add(_ONE, move))
        if name not in intent.extras and price > ZERO:
            prices[name] = plain(floor_to_step(price, SMALLEST))
    return prices


def _part(percent: Decimal) -> Decimal:
    return percent.scaleb(-2, EXACT)
