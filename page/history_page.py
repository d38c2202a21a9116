"""Renders the history as a document, part by part, so that other tasks can run in between."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from page.axes import hour_text, time_axis
from page.environment import environment
from page.history_bins import Bin, binned, step_of
from page.history_charts import HEIGHT, WIDTH, history_charts
from page.history_content import SPANS, HistoryContent

_MOST_ROWS = 24
_ROW_STEPS = (5, 15, 60)


class Row(msgspec.Struct, frozen=True):
    """A line of the table, with its numbers as text; None: not observed."""

    begins: str
    known: int
    allowed: int
    denied: int
    reason: str
    p50: str | None
    p99: str | None
    age_sec: float | None
    weight: int | None
    gross: str | None
    net: str | None
    profit: str | None


class HistoryPage:
    """The template, compiled when this is made."""

    def __init__(self) -> None:
        self._template = environment().get_template("history.html")

    def document(self, content: HistoryContent) -> Iterator[str]:
        """Render the document; empty parts are pauses, the document is the last."""
        begin, end = _range(content)
        shown = {
            "here": "/history",
            "content": content,
            "spans": tuple(SPANS),
            "earlier": _earlier(content),
            "later": _later(content),
            "charts": None,
        }
        if begin < end:
            yield ""
            bins = binned(content.minutes, begin, end, step_of(end - begin))
            drawing = history_charts(
                bins, stale_threshold_sec=content.stale_threshold_sec, weight_share=content.weight_share
            )
            while True:
                yield ""
                try:
                    next(drawing)
                except StopIteration as drawn:
                    shown["charts"] = drawn.value
                    break
            step = next((each for each in _ROW_STEPS if (end - begin) / each <= _MOST_ROWS), _ROW_STEPS[-1])
            whole = begin // step * step
            shown |= {
                "times": time_axis(begin, end),
                "begins": hour_text(begin),
                "ends": hour_text(end),
                "width": WIDTH,
                "height": HEIGHT,
                "rows": tuple(map(_row, reversed(binned(content.minutes, whole, end, step)))),
            }
        yield ""
        yield from self._template.generate(shown)


def _range(content: HistoryContent) -> tuple[int, int]:
    """Return the first minute that is known in the span, and the end; equal where none is."""
    begin = content.end - SPANS[content.span]
    known = [each.number for each in content.minutes if begin <= each.number < content.end]
    return (min(known), max(max(known) + 1, min(known) + 2)) if known else (content.end, content.end)


def _earlier(content: HistoryContent) -> int | None:
    """Return the end of the span before, where something is known of it."""
    begin = content.end - SPANS[content.span]
    return begin if any(each.number < begin for each in content.minutes) else None


def _later(content: HistoryContent) -> int | None:
    if content.end >= content.now:
        return None
    return min(content.end + SPANS[content.span], content.now)


def _row(each: Bin) -> Row:
    exposure = each.exposure
    return Row(
        begins=hour_text(each.begin),
        known=each.known,
        allowed=each.allowed,
        denied=each.denied.total(),
        reason=max(each.denied, key=lambda reason: (each.denied[reason], reason), default=""),
        p50=_milliseconds(each.p50_ms),
        p99=_milliseconds(each.p99_ms),
        age_sec=each.oldest_age_sec,
        weight=each.weight,
        gross=None if exposure is None else f"{exposure.gross:,.2f}",
        net=None if exposure is None else f"{exposure.net:,.2f}",
        profit=None if exposure is None else f"{exposure.profit:,.2f}",
    )


def _milliseconds(latency_ms: int | None) -> str | None:
    return None if latency_ms is None else f"{latency_ms} ms"
