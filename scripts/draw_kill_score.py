"""Picture of a kill score that jumps and stays: `python -m scripts.draw_kill_score` writes the file.

Above, the score with its moving mean; below, its deviation with the cut-offs of an entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from brain.governor.kill_score import KillStats, observe, z_of

PICTURE = Path(__file__).resolve().parents[1] / "docs/images/kill_score.svg"
ALPHA = 0.1
FLAT, HIGH, CRITICAL = 0.3, 0.9, 0.8
#: Observations before the jump (all count, the last few are shown), and behind it.
BEFORE, SHOWN_BEFORE, BEHIND = 200, 5, 20
CUTOFFS = ((0.7, "cut-off 0.7: no heat"), (1.2, "cut-off 1.2: full heat"))

_WIDTH, _LEFT, _RIGHT = 760, 60, 560
_INK, _GREY, _BLUE, _RED = "#1f2933", "#9aa5b1", "#1d6fb8", "#c0392b"


class Seen(NamedTuple):
    """One observation (1 is the first that is high), with its score, the mean and z after it."""

    number: int
    score: float
    mean: float
    z: float


class _Panel(NamedTuple):
    """Part of the picture: the pixels of its lowest and highest value, and that value."""

    bottom: int
    top: int
    most: float

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * value / self.most


def observations() -> list[Seen]:
    """Return the observations that are shown."""
    stats: KillStats | None = None
    seen = []
    for number in range(1 - BEFORE, BEHIND + 1):
        score = HIGH if number > 0 else FLAT
        stats = observe(stats, score, alpha=ALPHA, ts_ms=0)
        seen.append(Seen(number, score, stats.mean, z_of(stats, score)))
    return seen[-BEHIND - SHOWN_BEFORE :]


def drawing() -> str:
    """Return the picture as SVG."""
    seen = observations()
    scores, deviations = _Panel(170, 50, 1.0), _Panel(370, 220, 3.5)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} 420" role="img" '
        'font-family="sans-serif" font-size="13">',
        "<title>A kill score that jumps from 0.3 to 0.9 and stays: z falls as it becomes usual</title>",
        f'<rect width="{_WIDTH}" height="420" fill="#ffffff"/>',
        _text(_LEFT, 30, "kill score", _INK),
        *_axis(scores, (0.0, 0.5, 1.0)),
        _line(scores, CRITICAL, _RED, "critical 0.8: rule 18"),
        _curve(((each.number, each.score) for each in seen), scores, _INK),
        _curve(((each.number, each.mean) for each in seen), scores, _BLUE),
        _text(_RIGHT + 8, scores.y(seen[-1].score) + 4, "score", _INK),
        _text(_x(8), scores.y(0.5), "moving mean", _BLUE),
        _text(_LEFT, 205, "z", _INK),
        *_axis(deviations, (0.0, 1.0, 2.0, 3.0)),
        *(_line(deviations, value, _RED, name) for value, name in CUTOFFS),
        _curve(((each.number, max(each.z, 0.0)) for each in seen), deviations, _BLUE),
        *(_dot(each, deviations) for each in seen if each.number > 0),
        *(_text(_x(number) - 4, 392, str(number), _INK) for number in (1, *range(5, BEHIND + 1, 5))),
        _text(_LEFT, 412, "observations since the score rose", _INK),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(number: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * (number + SHOWN_BEFORE) / (BEHIND + SHOWN_BEFORE)


def _text(x: float, y: float, words: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{words}</text>'


def _axis(panel: _Panel, values: Iterable[float]) -> Iterable[str]:
    for value in values:
        y = panel.y(value)
        yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="{_GREY}" stroke-width="0.5"/>'
        yield _text(_LEFT - 28, y + 4, f"{value:.1f}", _INK)


def _line(panel: _Panel, value: float, colour: str, name: str) -> str:
    y = panel.y(value)
    dashed = f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="{colour}" stroke-dasharray="5 4"/>'
    return dashed + _text(_RIGHT + 8, y + 4, name, colour)


def _curve(points: Iterable[tuple[int, float]], panel: _Panel, colour: str) -> str:
    path = " ".join(f"{_x(number):.1f},{panel.y(value):.1f}" for number, value in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _dot(seen: Seen, panel: _Panel) -> str:
    blocked = seen.z > CUTOFFS[0][0]
    colour = _RED if blocked else _BLUE
    return f'<circle cx="{_x(seen.number):.1f}" cy="{panel.y(seen.z):.1f}" r="3.5" fill="{colour}"/>'


if __name__ == "__main__":
    PICTURE.write_text(drawing())
