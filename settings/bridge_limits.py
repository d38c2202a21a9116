"""Settings of the intent bridge that another one leaves without effect, or that are risky together."""

from __future__ import annotations

from collections.abc import Iterator

from settings.variables import Settings

#: Age up to which an intent of the exit lanes becomes a plan (seconds).
EXIT_MAX_AGE_SEC = 60.0


def risky_intents(settings: Settings) -> Iterator[str]:
    """Yield a line for each of them; none while the bridge is off."""
    if settings.intent_bridge == "off":
        return
    if settings.intent_exit_lanes and settings.decision_ttl_sec <= EXIT_MAX_AGE_SEC:
        yield (
            f"P33_DECISION_TTL_SEC={settings.decision_ttl_sec} is not above {EXIT_MAX_AGE_SEC:g} s: plans of "
            "exit intents have their time, and P3.3 denies the late ones as expired"
        )
    if settings.min_hold_sec == 0:
        yield "MIN_HOLD_SECONDS=0: a symbol may be entered again right after its close"
    if settings.max_intent_notional == 0:
        yield "QT_MAX_NOTIONAL_USD=0: no quantity of an intent is cut"
