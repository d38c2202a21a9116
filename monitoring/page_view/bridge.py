"""The intent bridge on the page."""

from __future__ import annotations

import msgspec

from monitoring.page_view.roles import bridge_tone
from monitoring.status.bridge import IntentShown
from monitoring.status.document import RolesShown
from page.intents import AnsweredIntent, Intents
from page.tone import Tone

_PLAN = "plan"


def page_bridge(shown: RolesShown | msgspec.UnsetType) -> Intents | None:
    """Return the intent bridge as the page shows it; None where it is off."""
    if isinstance(shown, msgspec.UnsetType) or isinstance(shown.intent_bridge, msgspec.UnsetType):
        return None
    bridge = shown.intent_bridge
    outcomes = bridge.outcomes or {}
    return Intents(
        state="LOCKDOWN" if bridge.lockdown else bridge.mode,
        tone=bridge_tone(bridge),
        doing=bridge.doing,
        outcomes=tuple(sorted(outcomes.items(), key=lambda each: (-each[1], each[0]))),
        recent=tuple(map(_answered, bridge.recent)),
    )


def _answered(intent: IntentShown) -> AnsweredIntent:
    planned = intent.outcome == _PLAN
    order = f"{intent.side} {intent.quantity}" if intent.quantity != "0" else intent.side
    return AnsweredIntent(
        at_ms=intent.at_ms,
        stream=intent.stream,
        symbol=intent.symbol or "unknown",
        outcome=intent.outcome,
        tone=Tone.GOOD if planned else Tone.WATCH,
        order=f"{order} {intent.action}" if planned else intent.eval_type,
        plan_id=intent.plan_id if planned else "",
        lag_ms=intent.lag_ms,
    )
