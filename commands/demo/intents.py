"""Intents of the strategies, and what the intent bridge makes of a plan's intent.

A plan of the catalog that a strategy could mean is published as an intent where the daemon has the bridge;
the others are those of publishers that write plans themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from random import Random

import msgspec

from commands.demo.keys import EXITS, HARVESTS, KEYS
from commands.demo.outcome import Verdict, denied, no_plan
from commands.demo.plans import Fields
from commands.demo.scenarios import Intent, PlanToPublish, SymbolState

_OLD_SEC = 60
#: Of a plan alone: an intent has none of them.
_OF_PLANS = ("plan_id", "decision", "type", "eval_type", "action", "qty", "source")
_FRACTIONS = {
    "FULL_CLOSE_PROPOSED": Decimal(1), "CLOSE_FULL": Decimal(1),
    "PARTIAL_75": Decimal("0.75"), "CLOSE_PARTIAL_75": Decimal("0.75"),
    "PARTIAL_50": Decimal("0.5"), "CLOSE_PARTIAL_50": Decimal("0.5"),
}  # fmt: skip
#: Denials of P3.3 that the bridge anticipates, for an entry and for an exit.
_ENTRIES = {
    "symbol_not_in_allowlist": "symbol_not_in_universe",
    "symbol_not_on_exchange": "symbol_not_in_universe",
    "below_min_qty": "below_min_qty",
    "malformed_plan": "malformed_intent",
}
_EXITS = {
    "symbol_not_in_allowlist": "flat_close",
    "no_position": "flat_close",
    "below_min_qty": "below_min_qty",
}


def trade_intent(plan: Fields, rng: Random) -> Intent:
    """Build the `trade.intent` of an entry, in one of its three dialects."""
    quantity = {"quantity": plan["qty"]} if plan["qty"] else {}
    fields = {name: text for name, text in plan.items() if name not in _OF_PLANS} | quantity
    dialect = rng.choice(("flat", "payload", "data"))
    return Intent(KEYS.intents, fields if dialect == "flat" else {dialect: json.dumps(fields)})


def exit_intent(plan: Fields, lane: str, rng: Random) -> Intent | None:
    """Build the intent of an exit, for an exit lane; None for a plan that no intent can mean.

    One with a quantity is for `exit.intent`: the other lane has none.
    """
    fraction = _FRACTIONS.get(plan["action"])
    quantity = Decimal(plan["close_qty"] or 0)
    readable = plan["side"] == "CLOSE" and plan["reduceOnly"].lower() in ("true", "1")
    if fraction is None or not readable or plan["decision"] != "EXECUTE":
        return None
    reason = plan["reason_codes"]
    if quantity or lane == EXITS:
        size = {"quantity": plan["close_qty"]} if quantity else {"qty_fraction": f"{fraction}"}
        fields = {
            "intent_id": f"exit-{rng.getrandbits(64):016x}",
            "symbol": plan["symbol"],
            "action": "CLOSE",
            "urgency": rng.choice(("normal", "high")),
            **size,
            "reason": reason,
            "source": "exit_brain",
            "ts_epoch": plan["timestamp"],
        }
        return Intent(EXITS, fields)
    percentage = fraction * 100 if rng.random() < 1 / 2 else fraction
    action = "FULL_CLOSE" if fraction == 1 else f"PARTIAL_{fraction * 100:.0f}"
    return Intent(
        HARVESTS,
        {"symbol": plan["symbol"], "action": action, "percentage": f"{percentage:f}", "reason": reason},
    )


def with_intents(
    plans: Iterable[PlanToPublish], state: SymbolState, rng: Random, now_sec: float
) -> tuple[PlanToPublish, ...]:
    """Add the intents by which strategies mean these plans, and what the bridge refuses of them.

    Exits at once are of one lane: the bridge reads the lanes side by side.
    """
    lane = rng.choice((EXITS, HARVESTS))
    return tuple(_with_intent(plan, state, lane, rng, now_sec) for plan in plans)


def _with_intent(
    plan: PlanToPublish, state: SymbolState, lane: str, rng: Random, now_sec: float
) -> PlanToPublish:
    """Add an intent.

    A plan that expired hours ago is published again by hand: an intent's age is that of its entry.
    """
    if plan.intent is not None:
        return plan
    fields = plan.fields
    is_entry = "confidence" in fields
    if now_sec - float(fields["timestamp"]) > _OLD_SEC or fields["decision"] == "RECONCILE_CLOSE":
        return plan
    intent = trade_intent(fields, rng) if is_entry else exit_intent(fields, lane, rng)
    if intent is None:
        return plan
    refusal = (_ENTRIES if is_entry else _EXITS).get(plan.expected.reason)
    expected, also = plan.expected, plan.also
    if is_entry and expected.reason == "would_flip_position" and not state.in_universe:
        # It opens what is left of it.
        refusal = "symbol_not_in_universe"
    if refusal == "flat_close" and not state.listed:
        # There is no position to compare with.
        refusal = None
    if refusal is not None and expected.verdict is Verdict.DENIED:
        expected = no_plan(refusal)
        if refusal == "below_min_qty":
            also = (*also, denied("below_min_qty"))
    return msgspec.structs.replace(plan, intent=intent, expected=expected, also=also)
