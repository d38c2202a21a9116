"""Charts of the history: bins in, SVG geometry out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from decimal import Decimal
from itertools import chain, pairwise

import msgspec
from markupsafe import Markup, escape

from brain.positions.exposure import Exposure
from page.axes import Tick, ValueAxis, hour_text, value_axis
from page.gate_chart import OTHER, fill
from page.history_bins import Bin
from page.words import duration

WIDTH, HEIGHT = 600, 150
_NAMED = 5
_AT_A_TIME = 100


class Line(msgspec.Struct, frozen=True):
    """A line of a chart: its look, its meaning, its values by bin, and their text."""

    look: str
    meaning: str
    values: tuple[float | None, ...]


class HistoryChart(msgspec.Struct, frozen=True):
    """One drawing, in units of `WIDTH` and `HEIGHT`. `legend`: looks with their meanings."""

    name: str
    title: str
    summary: str
    drawn: Markup
    values: tuple[Tick, ...]
    legend: tuple[tuple[str, str], ...]


class ReasonRow(msgspec.Struct, frozen=True):
    """A pattern of the decisions' bars, its meaning and count."""

    slot: str
    meaning: str
    count: int


class HistoryCharts(msgspec.Struct, frozen=True):
    """All drawings over one span; `reasons` is the legend of the first."""

    charts: tuple[HistoryChart, ...]
    reasons: tuple[ReasonRow, ...]


def history_charts(
    bins: Sequence[Bin], *, stale_threshold_sec: float, weight_share: int
) -> Generator[None, None, HistoryCharts]:
    """Return the charts. Yields between them, so that other tasks run."""
    decisions, reasons = yield from _decisions(bins)
    charts = [decisions]
    for name, title, text, lines in _lines(bins, stale_threshold_sec, weight_share):
        charts.append((yield from _line_chart(bins, name, title, text, lines)))
    return HistoryCharts(tuple(charts), reasons)


def _lines(
    bins: Sequence[Bin], stale_threshold_sec: float, weight_share: int
) -> Iterator[tuple[str, str, Callable[[float], str], tuple[Line, ...]]]:
    p50, p99 = [each.p50_ms for each in bins], [each.p99_ms for each in bins]
    latency = (Line("one", "median", tuple(p50)), Line("two", "99 % within", tuple(p99)))
    yield "latency", "Plan to permit", _milliseconds, latency
    ages = [each.oldest_age_sec for each in bins]
    yield (
        "ages",
        "Oldest snapshot",
        duration,
        (
            Line("one", "age", tuple(ages)),
            *_limit("stale from", stale_threshold_sec, ages),
        ),
    )
    weights = [each.weight for each in bins]
    yield (
        "weight",
        "Request weight of 60 s",
        _amount,
        (
            Line("one", "weight", tuple(weights)),
            *_limit("own share", weight_share, weights),
        ),
    )
    yield (
        "exposure",
        "Exposure by mark price",
        _amount,
        (
            Line("one", "gross", _exposures(bins, lambda each: each.gross)),
            Line("two", "net", _exposures(bins, lambda each: each.net)),
        ),
    )
    yield (
        "profit",
        "Unrealised P&L",
        _amount,
        (Line("one", "P&L", _exposures(bins, lambda each: each.profit)),),
    )


def _limit(meaning: str, limit: float, values: Sequence[float | None]) -> tuple[Line, ...]:
    """Return the line of a limit that values came near to: it must not flatten what is there."""
    most = max((value for value in values if value is not None), default=0.0)
    return (Line("limit", meaning, (limit,) * len(values)),) if most >= limit / 2 else ()


def _exposures(bins: Sequence[Bin], amount: Callable[[Exposure], Decimal]) -> tuple[float | None, ...]:
    return tuple(None if each.exposure is None else float(amount(each.exposure)) for each in bins)


def _decisions(bins: Sequence[Bin]) -> Generator[None, None, tuple[HistoryChart, tuple[ReasonRow, ...]]]:
    total = Counter[str]()
    for each in bins:
        total.update(each.denied)
    ranked = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    looks = {reason: f"deny{number}" for number, (reason, _) in enumerate(ranked[:_NAMED])}
    allowed = sum(each.allowed for each in bins)
    rows = [ReasonRow("allow", "allowed", allowed)]
    rows += [ReasonRow(looks[reason], reason, count) for reason, count in ranked[:_NAMED]]
    if len(ranked) > _NAMED:
        rows.append(ReasonRow("deny-other", OTHER, sum(count for _, count in ranked[_NAMED:])))
    axis = value_axis(0.0, max((each.allowed + each.denied.total() for each in bins), default=0), _amount)
    drawn = yield from _joined(_bars(bins, axis, looks))
    summary = f"{allowed} allowed, {total.total()} denied"
    return HistoryChart("decisions", "Decisions", summary, drawn, axis.ticks, ()), tuple(rows)


def _joined(drawn: Iterator[str]) -> Generator[None, None, Markup]:
    """Return elements as one text. They consist of numbers, and of texts that are escaped."""
    parts: list[str] = []
    for each in drawn:
        if len(parts) % _AT_A_TIME == 0:
            yield
        parts.append(each)
    return Markup("".join(parts))  # noqa: S704


def _bars(bins: Sequence[Bin], axis: ValueAxis, looks: dict[str, str]) -> Iterator[str]:
    for each, (left, right) in zip(bins, pairwise(_edges(bins)), strict=True):
        if not each.known:
            continue
        slots = {"allow": each.allowed, **dict.fromkeys(looks.values(), 0), "deny-other": 0}
        for reason, count in each.denied.items():
            slots[looks.get(reason, "deny-other")] += count
        place = f'x="{left:.1f}" width="{(right - left) * 0.9:.1f}"'
        title = f"{_time(each)}: {each.allowed} allowed, {each.denied.total()} denied"
        yield f"<g><title>{title}</title>{_area(left, right)}"
        bottom = float(HEIGHT)
        for slot, count in slots.items():
            if count:
                height = count / axis.high * HEIGHT
                bottom -= height
                yield f'<rect {place} y="{bottom:.1f}" height="{height:.1f}" fill="{fill(slot)}"/>'
        yield "</g>"


def _line_chart(
    bins: Sequence[Bin], name: str, title: str, text: Callable[[float], str], lines: Sequence[Line]
) -> Generator[None, None, HistoryChart]:
    values = [value for line in lines for value in line.values if value is not None]
    axis = value_axis(min(values, default=0.0), max(values, default=0.0), text)
    drawn = yield from _joined(
        chain(*(_line(bins, line, axis) for line in lines), _titles(bins, lines, text))
    )
    last = [(line.meaning, next((v for v in reversed(line.values) if v is not None), None)) for line in lines]
    summary = ", ".join(f"{meaning} {text(value)}" for meaning, value in last if value is not None)
    return HistoryChart(
        name=name,
        title=title,
        summary=f"at the end {summary}" if summary else "nothing observed",
        drawn=drawn,
        values=axis.ticks if values else (),
        legend=tuple((line.look, line.meaning) for line in lines) if len(lines) > 1 else (),
    )


def _line(bins: Sequence[Bin], line: Line, axis: ValueAxis) -> Iterator[str]:
    """Yield a line through neighbours that are known; a single one is a dash as long as its bin."""
    run: list[str] = []
    edges = [*pairwise(_edges(bins)), (0.0, 0.0)]
    for (left, right), value in zip(edges, (*line.values, None), strict=True):
        if value is not None:
            y = axis.share(value) * HEIGHT
            run.append(f"{(left + right) / 2:.1f} {y:.1f}")
            width = right - left
        elif run:
            path = f"M{'L'.join(run)}" if len(run) > 1 else f"M{run[0]}m{-width / 2:.1f} 0h{width:.1f}"
            yield f'<path class="{line.look}" d="{path}"/>'
            run = []


def _titles(bins: Sequence[Bin], lines: Sequence[Line], text: Callable[[float], str]) -> Iterator[str]:
    for number, (each, (left, right)) in enumerate(zip(bins, pairwise(_edges(bins)), strict=True)):
        values = [(line.meaning, line.values[number]) for line in lines]
        shown = ", ".join(f"{meaning} {text(value)}" for meaning, value in values if value is not None)
        if each.known and shown:
            title = escape(f"{_time(each)}: {shown}")
            yield f"<g><title>{title}</title>{_area(left, right)}</g>"


def _edges(bins: Sequence[Bin]) -> list[float]:
    """Return the left edges of the bins, and the right one of the last."""
    if not bins:
        return [0.0]
    begin, end = bins[0].begin, bins[-1].begin + bins[-1].step
    return [(each.begin - begin) / (end - begin) * WIDTH for each in bins] + [float(WIDTH)]


def _area(left: float, right: float) -> str:
    return f'<path class="area" d="M{left:.1f} 0H{right:.1f}V{HEIGHT}H{left:.1f}z"/>'


def _time(each: Bin) -> str:
    begin = hour_text(each.begin)
    return begin if each.step == 1 else f"{begin} to {hour_text(each.begin + each.step)}"


def _milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.3g} ms"


def _amount(value: float) -> str:
    for size, unit in ((1e9, "bn"), (1e6, "m"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (size if unit != 'k' else 1e3):,.4g} {unit}"
    return f"{value:,.5g}"
