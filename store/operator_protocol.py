"""Protocol of the operators' commands. See `store.protocol` for what all methods share.

An operator has no lease: each change is compared with what was seen when it was decided on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from brain.identifiers import EntryId, OrderId, PlanId, Symbol
from store.notice_records import SeenMark
from store.operator_records import DeadStream, Hold, LetterView, OperatorView, Republication
from store.records import BookingState


class OperatorStore(Protocol):
    """Store of `trading-state`, `hold`, `release`, `republish` and `acknowledge`.

    Events are flat names and values.
    """

    async def operator_view(self, symbol: Symbol | None) -> OperatorView:
        """Read the switches, today's auto-disarm, and the hold of `symbol`."""

    async def set_trading_state(self, before: bytes | None, state: str, event: Sequence[str]) -> bool:
        """Set `governor:trading_state`, with its event; False where it is not `before`."""

    async def set_hold(
        self, symbol: Symbol, before: Hold | None, reason: str, sig: str, event: Sequence[str]
    ) -> bool:
        """Hold a symbol until the hold is lifted, with its event; False where the hold is not `before`.

        One of another owner is replaced, which finds that it is no longer its own.
        """

    async def lift_hold(self, symbol: Symbol, before: Hold, event: Sequence[str]) -> bool:
        """Delete a hold with its owner and reason; False where it is not `before`."""

    async def letter_view(self, stream: DeadStream, letter_id: EntryId) -> LetterView | None:
        """Read a dead letter of a stream by its own id; None where there is none."""

    async def republish(self, wanted: Republication) -> EntryId | None:
        """Publish a dead letter's original once; return its new id, None where the state is another."""

    async def booking_state(
        self, symbol: Symbol, plan_id: PlanId, order_ids: Sequence[OrderId]
    ) -> BookingState:
        """As `ResultStore.booking_state`."""

    async def note_act(self, event: Sequence[str]) -> None:
        """Append to `p33.events`."""

    async def mark_seen(
        self, kind: str, subject: str, mark: SeenMark, now_ms: int, event: Sequence[str]
    ) -> bool:
        """Note that a person has seen a notice, with its event; False where 1000 others are marked.

        `now_ms`: Redis's clock. Marks that are over are removed.
        """
