"""Protocol of the operators' commands. See `store.protocol` for what all methods share.

An operator has no lease: each change is compared with what was seen when it was decided on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from brain.identifiers import Symbol
from store.notice_records import SeenMark
from store.operator_records import Hold, OperatorView


class OperatorStore(Protocol):
    """Store of `trading-state`, `hold`, `release` and `acknowledge`. Events are flat names and values."""

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

    async def mark_seen(
        self, kind: str, subject: str, mark: SeenMark, now_ms: int, event: Sequence[str]
    ) -> bool:
        """Note that a person has seen a notice, with its event; False where 1000 others are marked.

        `now_ms`: Redis's clock. Marks that are over are removed.
        """
