"""Execution results in their three dialects."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random

from simulator.orders import Order
from tests.simulation.clocks import true_ms
from tests.simulation.fields import Fields, plain


def executed(
    plan_id: str, fields: Fields, order: Order, cumulative: Decimal, status: str, rng: Random
) -> Fields:
    """A result of an order that has filled `cumulative` by then."""
    head = {"plan_id": plan_id, "symbol": order.symbol.name, "timestamp": f"{true_ms() / 1000:.3f}"}
    quantity = plain(cumulative)
    dialect = rng.randrange(3)
    if dialect == 0:
        step = {
            "step": fields.get("action", ""),
            "status": status,
            "order_id": order.order_id,
            "side": order.side,
            "executed_qty": quantity,
        }
        return head | {
            "decision": fields["decision"],
            "executed": "True",
            "would_execute": "True",
            "steps_results": json.dumps([step]),
            "error": "",
        }
    if dialect == 1:
        return head | {
            "action": fields.get("action", ""),
            "executed": "true",
            "filled_qty": quantity,
            "order_id": str(order.order_id),
            "order_status": status,
            "side": order.side,
        }
    details = {
        "order_id": str(order.order_id),
        "order_status": status,
        "filled_qty": quantity,
        "side": order.side,
    }
    return head | {"event_type": "apply.result", "executed": "true", "details": json.dumps(details)}


def not_executed(plan_id: str, symbol: str, why: str, rng: Random) -> Fields:
    """A result of a plan that its executor will not execute."""
    head = {"plan_id": plan_id, "symbol": symbol, "timestamp": f"{true_ms() / 1000:.3f}"}
    if rng.random() < 0.5:
        return head | {"executed": "False", "steps_results": "[]", "error": why}
    return head | {"event_type": "apply.result", "executed": "false", "details": json.dumps({"error": why})}
