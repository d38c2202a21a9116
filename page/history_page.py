"""Draws the history, part by part, so that other tasks can run in between."""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from page.axes import Tick, hour_text, time_axis
from page.history_bins import Bin, binned, step_of
from page.history_charts import HEIGHT, WIDTH, HistoryCharts, history_charts
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


class DrawnHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a history shows beside its content; `charts` is None where no minute is known.

    `earlier` and `later`: the end of the span before and behind, where there is one.
    """

    spans: tuple[str, ...]
    earlier: int | None
    later: int | None
    charts: HistoryCharts | None = None
    times: tuple[Tick, ...] = ()
    begins: str = ""
    ends: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    rows: tuple[Row, ...] = ()


def drawn_history(content: HistoryContent) -> Generator[None, None, DrawnHistory]:
    """Draw a history; each yield is a pause."""
    begin, end = _range(content)
    drawn = DrawnHistory(spans=tuple(SPANS), earlier=_earlier(content), later=_later(content))
    if begin >= end:
        return drawn
    yield
    bins = yield from binned(content.minutes, begin, end, step_of(end - begin))
    charts = yield from history_charts(
        bins, stale_threshold_sec=content.stale_threshold_sec, weight_share=content.weight_share
    )
    yield
    step = next((each for each in _ROW_STEPS if (end - begin) / each <= _MOST_ROWS), _ROW_STEPS[-1])
    rows = yield from binned(content.minutes, begin // step * step, end, step)
    return msgspec.structs.replace(
        drawn,
        charts=charts,
        times=time_axis(begin, end),
        begins=hour_text(begin),
        ends=hour_text(end),
        rows=tuple(map(_row, reversed(rows))),
    )


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
