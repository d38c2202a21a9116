"""Requests of one look: each waits for its weight, and is sent only while the own hold stands."""

from __future__ import annotations

import trio

from actors.reconcile_engine.cases import Case
from actors.reconcile_engine.history_search import EvidenceGapError
from actors.reconcile_engine.steps import CaseSteps
from actors.reconcile_engine.weight import EvidenceWeight
from brain.identifiers import FencingToken
from brain.reconciliation.case_life import CaseStatus

#: A hold that was written so recently stands (seconds).
_CHECKED_SEC = 1.0
_WAITS = "the next request for evidence waits for its weight"


class LookRequests:
    """Lets the requests of one look at a case out."""

    def __init__(self, case: Case, steps: CaseSteps, weight: EvidenceWeight, fence: FencingToken) -> None:
        """`case`: held by us now."""
        self._case = case
        self._steps = steps
        self._weight = weight
        self._fence = fence
        self._can_wait = case.can_wait
        self._checked_sec = trio.current_time()

    async def may_send(self, weight: int) -> None:
        """Wait until a request of this weight may be sent.

        A hold that stands for the look alone is released for the wait. Raises EvidenceGapError where the hold
        stands no longer, TooHeavyError, and as the store does.
        """
        case = self._case
        waits = not self._weight.has_room(weight, can_wait=self._can_wait)
        if waits and case.own_sig and not case.keeps_hold(on_stale=False):
            await self._steps.after_look(case, self._fence, status=CaseStatus.DRIFT, why=_WAITS)
        await self._weight.spend(weight, can_wait=self._can_wait)
        if not await self._is_held():
            raise EvidenceGapError("hold", "the own hold stands no longer")

    async def _is_held(self) -> bool:
        """Return True while the own hold stands; it is renewed, or set anew, after a second."""
        case, is_checked = self._case, trio.current_time() - self._checked_sec < _CHECKED_SEC
        if case.own_sig and is_checked:
            return True
        self._checked_sec = trio.current_time()
        if not case.own_sig:
            return await self._steps.hold(case, None, self._fence)
        return await self._steps.hold(case, case.own_sig, self._fence, same=True)
