"""Execution results as the executors write them, in the three dialects of `apply.result`."""

from __future__ import annotations

import json
from random import Random

from commands.demo.exchange_client import OrderAnswer
from commands.demo.plans import Fields

DIALECTS = ("steps", "flat", "details")


def executed(plan: Fields, order: OrderAnswer, dialect: str, now_sec: float) -> Fields:
    """Return the result of a plan whose order was executed."""
    quantity = f"{order.executed_qty:f}"
    action = plan.get("action") or "ENTRY_PROPOSED"
    if dialect == "steps":
        step = {
            "step": action,
            "status": order.status,
            "order_id": order.order_id,
            "side": order.side,
            "executed_qty": quantity,
        }
        return _head(plan, now_sec) | {
            "decision": plan["decision"],
            "executed": "True",
            "would_execute": "True",
            "steps_results": json.dumps([step]),
            "error": "",
        }
    if dialect == "flat":
        return _head(plan, now_sec) | {
            "action": action,
            "executed": "true",
            "reduceOnly": plan["reduceOnly"],
            "close_qty": quantity,
            "filled_qty": quantity,
            "order_id": str(order.order_id),
            "order_status": order.status,
            "side": order.side,
            "close_pct": "",
        }
    details = {
        "order_id": order.order_id,
        "order_status": order.status,
        "filled_qty": float(quantity),
        "side": order.side,
    }
    return _head(plan, now_sec) | {
        "event_type": "apply.result",
        "executed": "true",
        "source": plan.get("source", ""),
        "details": json.dumps(details),
    }


def not_executed(plan: Fields, why: str, rng: Random, now_sec: float) -> Fields:
    """Return the result of a plan that its executor will not execute."""
    if rng.random() < 1 / 2:
        return _head(plan, now_sec) | {
            "decision": plan["decision"],
            "executed": "False",
            "would_execute": "True",
            "steps_results": "[]",
            "error": why,
        }
    return _head(plan, now_sec) | {
        "event_type": "apply.result",
        "executed": "false",
        "source": plan.get("source", ""),
        "details": json.dumps({"error": why}),
    }


def _head(plan: Fields, now_sec: float) -> Fields:
    return {"plan_id": plan["plan_id"], "symbol": plan["symbol"], "timestamp": f"{now_sec:.3f}"}
