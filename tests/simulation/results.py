"""Execution results in their three dialects."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random

from simulator.orders import Order
from tests.simulation.clocks import true_ms
from tests.simulation.fields import Fields, plain

#: Answers after which an order may have been executed. Source: Binance USDⓈ-M Futures, "Error Codes", -1006
#: and -1007; "General Info", HTTP 408 and 503.
UNKNOWN = (
    "APIError(code=-1006): An unexpected response was received from the message bus. "
    "Execution status unknown.",
    "APIError(code=-1007): Timeout waiting for response from backend server. "
    "Send status unknown; execution status unknown.",
    '{"code":-1007,"msg":"Timeout waiting for response from backend server."}',
    "HTTP 408: Request Timeout",
    "503 Service Unavailable: Unknown error, please check your request or try again later.",
    "order status unknown",
    "ReadTimeout: the request timed out after sending",
)


def executed(
    plan_id: str, fields: Fields, order: Order, cumulative: Decimal, status: str, rng: Random
) -> Fields:
    """Return a result of an order that has filled `cumulative` by then."""
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


def not_executed(plan_id: str, symbol: str, why: str, rng: Random, permit: str | None = None) -> Fields:
    """Build the result of a plan that is not executed. Its details quote the `permit`, if given."""
    head = {"plan_id": plan_id, "symbol": symbol, "timestamp": f"{true_ms() / 1000:.3f}"}
    if permit is not None:
        details = json.dumps({"permit": permit, "error": why})
        return head | {"event_type": "apply.result", "executed": "false", "error": why, "details": details}
    if rng.random() < 0.5:
        return head | {"executed": "False", "steps_results": "[]", "error": why}
    return head | {"event_type": "apply.result", "executed": "false", "details": json.dumps({"error": why})}


def unknown(plan_id: str, symbol: str, client_order_id: str | None, rng: Random) -> Fields:
    """Build the result of an order with an unknown outcome; it may name the order."""
    why = rng.choice(UNKNOWN)
    fields = not_executed(plan_id, symbol, why, rng)
    if "error" in fields and rng.random() < 0.3:
        fields["reason"] = fields.pop("error")
    return fields | ({} if client_order_id is None else {"client_order_id": client_order_id})
