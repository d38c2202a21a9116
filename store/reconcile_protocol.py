"""Protocol of the reconcile engine's store. See `store.protocol` for what all methods share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from brain.identifiers import ClientOrderId, FencingToken, OrderId, Symbol
from clocks.clocks import ShowsRedisTime
from store.protocol import AddressedStore
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


class ReconcileStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the reconcile engine, for all of its life in the shadow or not.

    In the shadow its holds, states and events have names of their own (`reconcile:shadow:…`), and no ledger,
    order memory, foreign hold and plan is written, whatever is asked for.
    """

    async def differing_ledgers(self, expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
        """Return which symbols' ledgers are stored with other texts than expected (`differing_ledgers.lua`).

        A missing ledger or leg stands for `0`. One of equal value in another form differs, too.
        """

    async def reconcile_views(self, symbols: Sequence[Symbol]) -> dict[Symbol, ReconcileView]:
        """Read symbols, each in one step (`reconcile_views.lua`)."""

    async def own_holds(self, symbols: Sequence[Symbol]) -> list[Symbol]:
        """Return those of `symbols` that a `p34:…` hold stands on."""

    async def booked_growth(
        self, symbol: Symbol, order_ids: Sequence[OrderId], client_order_ids: Sequence[ClientOrderId]
    ) -> BookedGrowth:
        """Read what was booked of orders, and the executor's records of client order ids."""

    async def note_agreements(self, fence: FencingToken, agreements: Sequence[Agreement]) -> None:
        """Write what begins with `agreed_` of `reconcile:state`, and its TTL.

        A state of a wrong type is left alone.
        """

    async def change_case(self, fence: FencingToken, change: CaseChange) -> bool:
        """Write one step of a case (`change_case.lua`); False, and nothing, if its hold is another.

        A step without a change of the hold is written whatever holds the symbol.
        """

    async def repair_ledger(self, fence: FencingToken, repair: LedgerRepair) -> bool:
        """Book fills without a result (`reconcile_ledger.lua`), whole or not at all.

        False, with nothing written, where anything of it has changed: repeated, it changes nothing. In the
        shadow state, event and hold are written alone.
        """

    async def propose_close(self, fence: FencingToken, proposal: CloseProposal) -> bool:
        """Publish a close (`propose_close.lua`).

        False where it was, where one of the symbol may yet be executed, or where the hold is another.
        """
