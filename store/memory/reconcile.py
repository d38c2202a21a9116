"""In-memory twin of `store.redis.reconcile`."""

from __future__ import annotations

from collections.abc import Sequence

from brain.identifiers import ClientOrderId, FencingToken, OrderId, Symbol
from store.keys import ReconcileKeys
from store.memory import reconcile_reads as reads
from store.memory.connection import MemoryConnection
from store.memory.reconcile_steps import ReconcileSteps
from store.reconcile_records import (
    Agreement,
    BookedGrowth,
    CaseChange,
    CloseProposal,
    ComparedLedgers,
    ExpectedLedger,
    LedgerRepair,
    ReconcileView,
)
from store.reconcile_values import check_hold, check_owner, check_repair


class MemoryReconcile(MemoryConnection):
    """`ReconcileStore` less what it shares with others."""

    def _open_reconcile(self, *, shadow: bool) -> None:
        self._reconcile = ReconcileKeys(self._keys, shadow=shadow)

    async def differing_ledgers(self, expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
        return await self._run(reads.differing_ledgers, expected)

    async def reconcile_views(self, symbols: Sequence[Symbol]) -> dict[Symbol, ReconcileView]:
        return await self._run(reads.reconcile_views, self._reconcile, symbols)

    async def own_holds(self, symbols: Sequence[Symbol]) -> list[Symbol]:
        return await self._run(reads.own_holds, self._reconcile, symbols)

    async def booked_growth(
        self, symbol: Symbol, order_ids: Sequence[OrderId], client_order_ids: Sequence[ClientOrderId]
    ) -> BookedGrowth:
        return await self._run(reads.booked_growth, self._reconcile, symbol, order_ids, client_order_ids)

    async def note_agreements(self, fence: FencingToken, agreements: Sequence[Agreement]) -> None:
        await self._fenced("note_agreements", fence, lambda: self._repairs(fence).note_agreements(agreements))

    async def change_case(self, fence: FencingToken, change: CaseChange) -> bool:
        if change.hold is not None:
            check_hold(change.hold)
        return await self._fenced("change_case", fence, lambda: self._repairs(fence).change_case(change))

    async def repair_ledger(self, fence: FencingToken, repair: LedgerRepair) -> bool:
        check_repair(repair)
        return await self._fenced("repair_ledger", fence, lambda: self._repairs(fence).repair_ledger(repair))

    async def propose_close(self, fence: FencingToken, proposal: CloseProposal) -> bool:
        check_owner(proposal.sig)
        return await self._fenced(
            "propose_close", fence, lambda: self._repairs(fence).propose_close(proposal)
        )

    def _repairs(self, fence: FencingToken) -> ReconcileSteps:
        return ReconcileSteps(self._keyspace, self._keys, self._reconcile, fence)
