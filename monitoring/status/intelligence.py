"""Decision intelligence in `/status` and on the page: windows over results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from channels import Channels, IntelligenceNow, ResultWindow
from monitoring.status.acting import obstacle_of
from settings import Settings


class WindowShown(msgspec.Struct, frozen=True, kw_only=True):
    """Results of the last minutes: their number, by decision, and the 10 most frequent reasons and gates.

    `reasons` is without `none`; names in `gates` are `<gate>:<reason>`.
    """

    window: str
    results: int
    decisions: dict[str, int]
    reasons: dict[str, int]
    gates: dict[str, int]


class IntelligenceShown(msgspec.Struct, frozen=True, kw_only=True):
    """Decision intelligence: `doing` is a sentence, `waits_for` another player of the role, or Redis.

    The others are null or empty while this instance counts nothing under its lease. `counted`: results that
    this process counted; `pending`: delivered, and not counted yet; `unknown`: decisions of the last 5
    minutes that were not understood.
    """

    mode: str
    doing: str
    waits_for: str | None = None
    age_sec: float | None = None
    counted: int | None = None
    pending: int | None = None
    windows: list[WindowShown] = []
    unknown: dict[str, int] = {}


def intelligence_shown(
    settings: Settings, channels: Channels, waits: Sequence[tuple[str, str]], now_ms: int
) -> IntelligenceShown | msgspec.UnsetType:
    """Return decision intelligence; unset where it is off. `now_ms`: Redis's clock; `waits`: the tree's."""
    if channels.intelligence is None:
        return msgspec.UNSET
    mode = settings.decision_intelligence
    obstacle = obstacle_of("decision_intelligence", channels.lease.value, waits)
    if obstacle is not None:
        return IntelligenceShown(mode=mode, doing=obstacle.doing, waits_for=obstacle.waits_for)
    now = channels.intelligence.value
    if now is None:
        return IntelligenceShown(mode=mode, doing="waits for its first look at the results")
    return IntelligenceShown(
        mode=mode,
        doing=_doing(now),
        age_sec=max(now_ms - now.as_of_ms, 0) / 1000,
        counted=now.counted,
        pending=now.pending,
        windows=[_window(each) for each in now.windows],
        unknown=dict(now.unknown),
    )


def intelligence_problems(shown: IntelligenceShown | msgspec.UnsetType) -> Iterator[str]:
    """Yield what the page warns of: results that are not counted."""
    if not isinstance(shown, msgspec.UnsetType) and shown.waits_for is not None:
        yield f"results are not counted (P3.5): waiting for {shown.waits_for}"


def _doing(now: IntelligenceNow) -> str:
    text = f"counts the results of all executors, {now.counted} since the start"
    return f"{text}; {now.pending} are delivered and not counted yet" if now.pending else text


def _window(window: ResultWindow) -> WindowShown:
    return WindowShown(
        window=window.name,
        results=sum(window.decisions.values()),
        decisions=dict(window.decisions),
        reasons=dict(window.causes),
        gates=dict(window.gates),
    )
