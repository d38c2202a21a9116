"""Decision intelligence on the page."""

from __future__ import annotations

import msgspec

from monitoring.page_view.roles import intelligence_tone
from monitoring.status.document import RolesShown
from page.result_windows import ResultCounts, ResultWindows


def page_intelligence(shown: RolesShown | msgspec.UnsetType) -> ResultWindows | None:
    """Return decision intelligence as the page shows it; None where it is off."""
    if isinstance(shown, msgspec.UnsetType) or isinstance(shown.p35, msgspec.UnsetType):
        return None
    intelligence = shown.p35
    results = next((each.results for each in intelligence.windows if each.window == "5m"), None)
    return ResultWindows(
        state=intelligence.mode if results is None else f"{results} in 5 min",
        tone=intelligence_tone(intelligence),
        doing=intelligence.doing,
        windows=tuple(
            ResultCounts(window=each.window, decisions=each.decisions, gates=tuple(each.gates.items()))
            for each in intelligence.windows
        ),
        unknown=tuple(intelligence.unknown.items()),
    )
