"""The gate distribution over time as stacked bars, drawn here: numbers in, SVG geometry out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence

import msgspec
from markupsafe import Markup

from page.content import GateHistory, GateStep

WIDTH, HEIGHT = 600, 120
#: Number of deny reasons with a pattern of their own; the rest share one.
_NAMED = 5
ALLOWED, OTHER = "allowed", "other reasons"


class LegendRow(msgspec.Struct, frozen=True):
    """A pattern and its meaning, with the counts of each chart."""

    slot: str
    meaning: str
    counts: tuple[int, ...]


class Chart(msgspec.Struct, frozen=True):
    """One history: its bars as SVG groups, in units of the drawing; `top` is the count at its upper edge."""

    title: str
    short: str
    begins: str
    bars: Markup
    top: int
    total: int


class GateCharts(msgspec.Struct, frozen=True):
    """All histories with one legend."""

    charts: tuple[Chart, ...]
    legend: tuple[LegendRow, ...]


def gate_charts(histories: Sequence[GateHistory]) -> Generator[None, None, GateCharts]:
    """Return the charts; patterns go to the deny reasons that are the most frequent in all of them together.

    Yields between its parts, so that other tasks run.
    """
    frequent: Counter[str] = Counter()
    for history in histories:
        for step in history.steps:
            frequent.update(step.denied)
    named = [reason for reason, _ in sorted(frequent.items(), key=lambda pair: (-pair[1], pair[0]))[:_NAMED]]
    looks = {reason: f"deny{number}" for number, reason in enumerate(named)}
    rows = [(ALLOWED, "allow"), *looks.items()]
    if len(frequent) > _NAMED:
        rows.append((OTHER, "deny-other"))
    charts: list[Chart] = []
    counted: list[Counter[str]] = []
    for history in histories:
        yield
        slots = [_slots(step, looks) for step in history.steps]
        counts: Counter[str] = Counter()
        for each in slots:
            counts.update(each)
        counted.append(counts)
        yield
        charts.append(_chart(history, slots))
    return GateCharts(
        tuple(charts),
        tuple(LegendRow(slot, meaning, tuple(counts[slot] for counts in counted)) for meaning, slot in rows),
    )


def _slots(step: GateStep, looks: dict[str, str]) -> dict[str, int]:
    """Count by pattern, in the order in which they are stacked."""
    slots = {"allow": sum(step.allowed.values()), **dict.fromkeys(looks.values(), 0), "deny-other": 0}
    for reason, count in step.denied.items():
        slots[looks.get(reason, "deny-other")] += count
    return slots


def _chart(history: GateHistory, slots: Sequence[Mapping[str, int]]) -> Chart:
    totals = [sum(each.values()) for each in slots]
    top = _round_up(max(totals, default=0))
    slot_width = WIDTH / max(len(totals), 1)
    bars: list[str] = []
    for number, (each, total) in enumerate(zip(slots, totals, strict=True)):
        if not total:
            continue
        allowed = each["allow"]
        ago = _ago((len(totals) - 1 - number) * history.step_sec)
        bars.append(f"<g><title>{ago}: {allowed} allowed, {total - allowed} denied</title>")
        place = f'x="{number * slot_width:g}" width="{slot_width * 0.86:g}"'
        bottom = float(HEIGHT)
        for slot, count in each.items():
            if count:
                height = count / top * HEIGHT
                bottom -= height
                bars.append(f'<rect {place} y="{bottom:.2f}" height="{height:.2f}" fill="{fill(slot)}"/>')
        bars.append("</g>")
    # Numbers, and words of this module's own.
    drawn = Markup("".join(bars))  # noqa: S704
    return Chart(history.title, history.short, _ago(len(totals) * history.step_sec), drawn, top, sum(totals))


def fill(slot: str) -> str:
    """Return the fill of a slot: the patterns are defined in the document."""
    return f"url(#look-{slot})"


def _round_up(count: int) -> int:
    """Return the next of 5, 10, 20, 50, 100, …"""
    top = 5
    while top < count:
        top = top * 5 // 2 if str(top)[0] == "2" else top * 2
    return top


def _ago(seconds: int) -> str:
    if seconds == 0:
        return "now"
    return f"{seconds // 60} min ago" if seconds % 60 == 0 else f"{seconds} s ago"
