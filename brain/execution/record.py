"""The executor's record of a plan: `<prefix>:executor:order:<plan_id>`."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.identifiers import ClientOrderId, EntryId, OrderId, PlanId, Symbol
from brain.positions.position import Leg


class OrderPhase(StrEnum):
    """State of a record.

    `sending`: the permits are consumed, one request may be under way. `unknown`: an order may exist.
    `working`: the exchange has it, further fills may come. `final`: nothing more can come of it. `orphan`: an
    order of ours that was found at the exchange without a record.
    """

    SENDING = "sending"
    UNKNOWN = "unknown"
    WORKING = "working"
    FINAL = "final"
    ORPHAN = "orphan"

    @property
    def ended(self) -> bool:
        """Return True if the executor does nothing more for it."""
        return self in (OrderPhase.FINAL, OrderPhase.ORPHAN)


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Record of one plan, all that a later process needs to find out what became of its order.

    Quantities are in contracts, times epoch ms: `timestamp_ms` is the exchange's clock. `stream` and
    `entry_id` name the plan's entry, which is acknowledged with the last result. `published_cumulative` is
    the filled quantity of the latest result, None before the first. `version` grows by one with each change.
    """

    plan_id: PlanId
    phase: OrderPhase
    symbol: Symbol
    side: str
    leg: Leg
    kind: str
    quantity: Decimal
    reduce_only: bool
    client_order_id: ClientOrderId
    timestamp_ms: int
    recv_window_ms: int
    decision: str
    action: str
    source: str
    instance: str
    stream: str
    entry_id: EntryId
    order_id: OrderId | None = None
    status: str = ""
    cumulative: Decimal = Decimal(0)
    average_price: Decimal | None = None
    published_cumulative: Decimal | None = None
    error: str = ""
    version: int = 1
