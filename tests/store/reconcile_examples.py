"""Calls of the reconcile engine's store, for the tests that count every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from brain.execution.orders import client_order_id
from brain.identifiers import FencingToken, OrderId, PlanId, Symbol
from store.execution_protocol import ServiceStore
from store.reconcile_records import Agreement, CaseChange, ExpectedLedger
from tests.store.governor_examples import SYMBOL_HELD
from tests.store.reconciled import BOOKED, CLEARED, CLOSING, DRIFTED, OPENING, PROPOSAL, RENEWAL, REPAIR

Call = Callable[[ServiceStore, FencingToken], Awaitable[object]]

_ETHER, _FREE = Symbol("ETHUSDT"), Symbol("LTCUSDT")
_RENEWED = CaseChange(symbol=DRIFTED, hold=RENEWAL)
_OPENED = CaseChange(
    symbol=_FREE, hold=OPENING.hold, state=OPENING.state, event=("event", "HOLD_SET", "symbol", _FREE)
)
_CLEARED = msgspec.structs.replace(CLOSING, symbol=CLEARED)
_NOTED = CaseChange(symbol=SYMBOL_HELD, state=("status", "DRIFT"))


async def change(store: ServiceStore, fence: FencingToken) -> list[bool]:
    """Open a case, renew another's hold, note a state, and close a case."""
    return [await store.change_case(fence, each) for each in (_OPENED, _RENEWED, _NOTED, _CLEARED)]


async def views(store: ServiceStore, _: FencingToken) -> object:
    """Read views, but for how long their holds have left."""
    found = await store.reconcile_views([DRIFTED, _ETHER, SYMBOL_HELD, _FREE])
    return [(view._replace(hold=None), view.hold and view.hold[:3]) for view in found.values()]


#: Each takes a lease; in this order, since some rest on a hold that others end.
WRITES: dict[str, Call] = {
    "note_agreements": lambda store, fence: store.note_agreements(
        fence, [Agreement(DRIFTED, 1_760_000_000_000, "3"), Agreement(_ETHER, 1_760_000_000_001, "")]
    ),
    "propose_close": lambda store, fence: store.propose_close(fence, PROPOSAL),
    "change_case that opens": lambda store, fence: store.change_case(fence, _OPENED),
    "change_case that renews": lambda store, fence: store.change_case(fence, _RENEWED),
    "change_case of a state alone": lambda store, fence: store.change_case(fence, _NOTED),
    "repair_ledger": lambda store, fence: store.repair_ledger(fence, REPAIR),
    "change_case that lifts": lambda store, fence: store.change_case(fence, _CLEARED),
}

EXAMPLES: dict[str, Call] = {
    **{name: WRITES[name] for name in ("note_agreements", "propose_close", "repair_ledger")},
    "change_case": change,
    "differing_ledgers": lambda store, _: store.differing_ledgers(
        [
            ExpectedLedger(_ETHER, "1.5", None, None),
            ExpectedLedger(DRIFTED, "0.7", "0.7", "0"),
            ExpectedLedger(_FREE, "0", None, None),
        ]
    ),
    "reconcile_views": views,
    "own_holds": lambda store, _: store.own_holds([_ETHER, DRIFTED, SYMBOL_HELD]),
    "booked_growth": lambda store, _: store.booked_growth(
        _ETHER, [OrderId("1001"), BOOKED],
        [client_order_id("q", PlanId(plan_id)) for plan_id in ("plan-1", "none")],
    ),
}  # fmt: skip
