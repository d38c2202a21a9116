"""The reconcile engine's steps in the store of one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from brain.identifiers import FencingToken, Symbol
from store.memory.store import MemoryStore
from store.reconcile_records import (
    Agreement,
    CaseChange,
    CloseProposal,
    ComparedLedgers,
    ExpectedLedger,
    LedgerRepair,
)
from tests.simulation.reconcile_steps import ReconcileSteps


class WatchedReconcile(MemoryStore):
    """Has each step judged: `_judged` is taken up by the call that follows at once."""

    _name: str
    _reconciling: ReconcileSteps
    _judged: Callable[[Callable[[], Any]], Any] | None

    async def own_holds(self, symbols: Sequence[Symbol]) -> list[Symbol]:
        # Nothing else asks for them.
        self._reconciling.engine_began(self._name)
        return await super().own_holds(symbols)

    async def differing_ledgers(self, expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
        answer = await super().differing_ledgers(expected)
        self._reconciling.compared([each.symbol for each in expected])
        return answer

    async def note_agreements(self, fence: FencingToken, agreements: Sequence[Agreement]) -> None:
        self._judged = partial(self._reconciling.stepped, self._name)
        await super().note_agreements(fence, agreements)
        self._reconciling.noted({each.symbol: each.at_ms for each in agreements})

    async def change_case(self, fence: FencingToken, change: CaseChange) -> bool:
        self._judged = partial(self._reconciling.stepped, self._name)
        return await super().change_case(fence, change)

    async def repair_ledger(self, fence: FencingToken, repair: LedgerRepair) -> bool:
        self._judged = partial(self._reconciling.repaired, self._name, repair)
        return await super().repair_ledger(fence, repair)

    async def propose_close(self, fence: FencingToken, proposal: CloseProposal) -> bool:
        self._judged = partial(self._reconciling.proposed, self._name, proposal)
        return await super().propose_close(fence, proposal)
