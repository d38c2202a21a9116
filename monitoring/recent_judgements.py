"""The latest judgements of kill scores, by symbol, for the operator page."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

import msgspec

from brain.identifiers import PlanId, Symbol

#: A few hundred bytes each: two megabytes in all at most.
_MOST_SYMBOLS = 64
_MOST_POINTS = 120


class JudgedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A kill score with what came of it.

    `at_ms` is Redis's clock. `eval_type` is `entry` or `exit`. `z` and `cutoff` are None where no verdict was
    possible. `granted` is None for a plan that was observed and not judged; `reason` is empty then.
    """

    plan_id: PlanId
    symbol: Symbol
    at_ms: int
    eval_type: str
    kill_score: float
    z: float | None
    cutoff: float | None
    granted: bool | None
    reason: str


class RecentJudgements:
    """Remembers kill scores. Made once by the wiring, so that a restarted Governor goes on with it.

    A judgement costs one append. Of the symbols, those judged last are kept, each with its latest points.
    """

    def __init__(self) -> None:
        self._points: OrderedDict[Symbol, deque[JudgedPoint]] = OrderedDict()

    def judged(self, points: Iterable[JudgedPoint]) -> None:
        """Remember judgements that were committed."""
        for point in points:
            of_symbol = self._points.get(point.symbol)
            if of_symbol is None:
                if len(self._points) >= _MOST_SYMBOLS:
                    self._points.popitem(last=False)
                of_symbol = self._points[point.symbol] = deque(maxlen=_MOST_POINTS)
            self._points.move_to_end(point.symbol)
            of_symbol.append(point)

    def busiest(self, symbols: int) -> list[tuple[Symbol, tuple[JudgedPoint, ...]]]:
        """Return the symbols with the most points, by name among equals; of each its points, oldest first."""
        names = sorted(self._points, key=lambda symbol: (-len(self._points[symbol]), symbol))
        return [(symbol, tuple(self._points[symbol])) for symbol in names[:symbols]]
