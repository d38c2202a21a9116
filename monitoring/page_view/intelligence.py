"""Decision intelligence on the page."""

from __future__ import annotations

import msgspec

from brain.intelligence.reasons import NO_REASON
from brain.intelligence.windows import SHOWN_WINDOW
from monitoring.page_view.roles import intelligence_tone
from monitoring.status.document import RolesShown
from page.result_windows import ResultCounts, ResultWindows, Stop


def page_intelligence(shown: RolesShown | msgspec.UnsetType) -> ResultWindows | None:
    """Return decision intelligence as the page shows it; None where it is off."""
    if isinstance(shown, msgspec.UnsetType) or isinstance(shown.p35, msgspec.UnsetType):
        return None
    intelligence = shown.p35
    recent = next((each for each in intelligence.windows if each.window == SHOWN_WINDOW), None)
    return ResultWindows(
        state=intelligence.mode if recent is None else f"{recent.results} in 5 min",
        tone=intelligence_tone(intelligence),
        doing=intelligence.doing,
        windows=tuple(
            ResultCounts(window=each.window, decisions=each.decisions) for each in intelligence.windows
        ),
        stops=() if recent is None else tuple(_stop(*each) for each in recent.gates.items()),
        unknown=tuple(intelligence.unknown.items()),
    )


def _stop(name: str, count: int) -> Stop:
    gate, _, reason = name.partition(":")
    return Stop(gate, "no reason given" if reason == NO_REASON else reason, count)
