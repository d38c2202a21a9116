"""Windows over results as stacked bars, drawn here: numbers in, SVG geometry out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from markupsafe import Markup

from page.gate_chart import fill
from page.result_windows import ResultCounts

WIDTH, HEIGHT = 600, 22
#: Decisions in the order in which they are stacked, with their pattern.
LOOKS: Mapping[str, str] = {
    "EXECUTE": "allow",
    "BLOCKED": "deny0",
    "SKIP": "deny2",
    "ERROR": "deny1",
    "UNKNOWN": "deny-other",
}


_TITLES = {"1m": "1 min", "5m": "5 min", "15m": "15 min", "1h": "1 h"}


class WindowBar(msgspec.Struct, frozen=True):
    """One window: its bar as SVG, in units of the drawing, with the number of its results."""

    title: str
    total: int
    bar: Markup
    counts: tuple[int, ...]
    summary: str


def window_bars(windows: Sequence[ResultCounts]) -> tuple[WindowBar, ...]:
    """Return a bar for each window: the full width is all of its results."""
    return tuple(map(_bar, windows))


def _bar(counts: ResultCounts) -> WindowBar:
    total = sum(counts.decisions.values())
    left, drawn, words = 0.0, [], []
    for decision, look in LOOKS.items():
        count = counts.decisions.get(decision, 0)
        if not count:
            continue
        width = count / total * WIDTH
        share = f"{count / total * 100:.1f} %"
        drawn.append(
            f"<g><title>{decision}: {count} of {total}, {share}</title>"
            f'<rect x="{left:.2f}" y="0" width="{width:.2f}" height="{HEIGHT}" fill="{fill(look)}"/></g>'
        )
        left += width
        words.append(f"{decision} {share}")
    # Numbers, and words of this module's own.
    bar = Markup("".join(drawn))  # noqa: S704
    numbers = tuple(counts.decisions.get(decision, 0) for decision in LOOKS)
    title, summary = _TITLES.get(counts.window, counts.window), ", ".join(words) or "no results"
    return WindowBar(title, total, bar, numbers, summary)
