"""The latest judgements of the Governor, for the operator page: kill scores by symbol, and audit records."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence

import msgspec

from brain.identifiers import PlanId, Symbol

#: A few hundred bytes each: two megabytes in all at most.
_MOST_SYMBOLS = 64
_MOST_POINTS = 120
#: As many as decisions are remembered: some kilobytes each.
_MOST_AUDITS = 500


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


class JudgedAudit(msgspec.Struct, frozen=True):
    """A judgement's audit entry, flat names and values, and when it was committed (Redis's clock)."""

    at_ms: int
    fields: Sequence[str]

    def text(self, name: str) -> str:
        """Return a field of the entry; empty where it has none of that name."""
        return dict(zip(self.fields[::2], self.fields[1::2], strict=True)).get(name, "")


class RecentJudgements:
    """Remembers judgements. Made once by the wiring, so that a restarted Governor goes on with it.

    A judgement costs two appends. Of the symbols, those judged last are kept, each with its latest points; of
    the audit entries, the latest 500.
    """

    def __init__(self) -> None:
        self._audits: dict[PlanId, JudgedAudit] = {}
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

    def audited(self, plan_id: PlanId, audit: JudgedAudit) -> None:
        """Remember the audit entry of a judgement that was committed."""
        self._audits[plan_id] = audit
        if len(self._audits) > _MOST_AUDITS:
            del self._audits[next(iter(self._audits))]

    def of(self, plan_id: PlanId) -> JudgedAudit | None:
        """Return the audit entry of the judgement on a plan, while it is remembered."""
        return self._audits.get(plan_id)

    def busiest(self, symbols: int) -> list[tuple[Symbol, tuple[JudgedPoint, ...]]]:
        """Return the symbols with the most points, by name among equals; of each its points, oldest first."""
        names = sorted(self._points, key=lambda symbol: (-len(self._points[symbol]), symbol))
        return [(symbol, tuple(self._points[symbol])) for symbol in names[:symbols]]
