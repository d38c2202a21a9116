"""Kill scores over time, and their z against the cut-off, as lines: numbers in, SVG geometry out."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import msgspec
from markupsafe import Markup, escape

from explanation.printable import printable
from page.content import KillHistory, KillPoint
from page.gate_chart import HEIGHT, WIDTH
from page.words import duration, time_of_day

#: Half of the z scale is a multiple of it.
_Z_STEP = 1.0


class KillChart(msgspec.Struct, frozen=True):
    """One history: two drawings, the score from 0 to 1 and z between -`z_top` and `z_top`."""

    title: str
    symbol: str
    eval_type: str
    latest: str
    begins: str
    score: Markup
    z: Markup
    z_top: str
    refused: int
    count: int


def kill_charts(
    histories: Sequence[KillHistory], now_ms: int
) -> Generator[None, None, tuple[KillChart, ...]]:
    """Return the charts. Yields between them, so that other tasks run."""
    charts: list[KillChart] = []
    for history in histories:
        yield
        charts.append(_chart(history, now_ms))
    return tuple(charts)


def _chart(history: KillHistory, now_ms: int) -> KillChart:
    points = history.points
    xs = _places(points, now_ms)
    seen = [abs(each) for point in points for each in (point.z, point.cutoff) if each is not None]
    z_top = max((int(max(seen, default=0.0) / _Z_STEP) + 1) * _Z_STEP, _Z_STEP)
    refused = sum(point.granted is False for point in points)
    scores = [1.0 - point.kill_score for point in points]
    zs = [_share(point.z, z_top) for point in points]
    cutoffs = [_share(point.cutoff, z_top) for point in points]
    begins_sec = (now_ms - points[0].at_ms) / 1000 if points else None
    # Numbers, and texts that are escaped.
    return KillChart(
        title=f"{history.symbol} {history.eval_type}",
        symbol=history.symbol,
        eval_type=history.eval_type,
        latest=_words(points[-1]) if points else "none",
        begins="" if begins_sec is None else f"{duration(max(begins_sec, 0.0))} ago",
        score=Markup("".join((*_line(xs, scores, "score"), *_marks(xs, points)))),  # noqa: S704
        z=Markup("".join((*_line(xs, cutoffs, "cutoff"), *_line(xs, zs, "z"), *_marks(xs, points)))),  # noqa: S704
        z_top=f"{z_top:g}",
        refused=refused,
        count=len(points),
    )


def _places(points: Sequence[KillPoint], now_ms: int) -> list[float]:
    """Return the x of each point, by time; the last moment is `now_ms`."""
    if not points:
        return []
    begin, end = points[0].at_ms, max(now_ms, points[-1].at_ms)
    return [(point.at_ms - begin) / max(end - begin, 1) * WIDTH for point in points]


def _share(value: float | None, top: float) -> float | None:
    return None if value is None else (top - value) / (2 * top)


def _line(xs: Sequence[float], shares: Sequence[float | None], look: str) -> Iterator[str]:
    """Yield a line through neighbours that are known; a single point is a short dash."""
    run: list[str] = []
    for x, share in (*zip(xs, shares, strict=True), (0.0, None)):
        if share is not None:
            run.append(f"{x:.2f} {min(max(share, 0.0), 1.0) * HEIGHT:.2f}")
        elif run:
            dash = "h3" if len(run) == 1 else ""
            yield f'<path class="{look}" d="M{"L".join(run)}{dash}"/>'
            run = []


def _marks(xs: Sequence[float], points: Sequence[KillPoint]) -> Iterator[str]:
    """Yield for each point an area with its text, and a mark below the refused ones."""
    for number, (x, point) in enumerate(zip(xs, points, strict=True)):
        left = x if number == 0 else (xs[number - 1] + x) / 2
        right = WIDTH if number + 1 == len(xs) else (x + xs[number + 1]) / 2
        place = f'x="{left:.2f}" y="0" width="{max(right - left, 0.0):.2f}" height="{HEIGHT}"'
        yield f'<g><title>{escape(printable(_words(point)))}</title><rect class="area" {place}/>'
        if point.granted is False:
            yield f'<path class="refused" d="M{x:.2f} {HEIGHT}v-12"/>'
        yield "</g>"


def _words(point: KillPoint) -> str:
    words = f"{time_of_day(point.at_ms)}: kill score {point.kill_score:.3f}"
    if point.z is not None:
        words += f", z {point.z:.2f}"
    if point.cutoff is not None:
        words += f", cut-off {point.cutoff:.2f}"
    if point.granted is None:
        return f"{words}: observed"
    return f"{words}: {'granted' if point.granted else f'refused, {point.reason}'}"
