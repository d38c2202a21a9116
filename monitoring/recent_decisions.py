"""The latest 500 decisions, for the operator page and for actors that look at each decision."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

import msgspec
import trio

from brain.decisions.answer import Answer
from brain.identifiers import PlanId

#: More than the page shows, so that a decision can be explained after it has scrolled away. Some kilobytes
#: each: two or three megabytes in all, 16 if every plan is as large as plans may be.
_MOST = 500


class RecentDecision(msgspec.Struct, frozen=True):
    """An answer, when it was committed, and when its plan was published (Redis's clock; None: unknown)."""

    answer: Answer
    decided_ms: int
    published_ms: int | None

    @property
    def latency_ms(self) -> int | None:
        """Return the time from publication to answer; None if the time of publication is unknown."""
        return None if self.published_ms is None else max(self.decided_ms - self.published_ms, 0)


class RecentDecisions:
    """Remembers what was decided. Made once by the wiring, so that a restarted evaluator goes on with it.

    A decision costs one append; the rest is computed for a request.
    """

    def __init__(self) -> None:
        self._decided: deque[RecentDecision] = deque(maxlen=_MOST)
        #: Decisions of this process so far.
        self.total = 0
        self._waiting = trio.lowlevel.ParkingLot()

    def decided(self, decided: Sequence[RecentDecision]) -> None:
        """Remember answers that were committed, and wake those that wait for them."""
        self._decided.extend(decided)
        self.total += len(decided)
        self._waiting.unpark_all()

    async def after(self, total: int) -> list[RecentDecision]:
        """Wait until `total` is exceeded; return the decisions since then, newest first, 500 at most."""
        while self.total <= total:
            await self._waiting.park()
        return self.newest(self.total - total)

    def newest(self, count: int) -> list[RecentDecision]:
        """Return the latest `count`, the newest first."""
        return list(itertools.islice(reversed(self._decided), count))

    def of(self, plan_id: PlanId) -> RecentDecision | None:
        """Return the decision on a plan, while it is remembered."""
        return next((seen for seen in self._decided if seen.answer.plan_id == plan_id), None)
