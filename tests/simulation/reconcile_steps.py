"""The judge of the reconcile engine's steps and requests, as its store and its network see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeVar

from store.reconcile_records import CloseProposal, LedgerRepair

T = TypeVar("T")


class ReconcileSteps(Protocol):
    """Receiver of the engine's effects, which it brings about. Raises AssertionError."""

    def stepped(self, writer: str, effect: Callable[[], T]) -> T: ...

    def repaired(self, writer: str, repair: LedgerRepair, effect: Callable[[], bool]) -> bool: ...

    def proposed(self, writer: str, proposal: CloseProposal, effect: Callable[[], bool]) -> bool: ...

    def started(self, writer: str) -> None:
        """Note that the process begins anew."""

    def engine_began(self, writer: str) -> None:
        """Note that the engine begins: behind a start, another lease, or a break of Redis."""

    def compared(self, symbols: Collection[str]) -> None:
        """Note that the engine compares these ledgers now."""

    def noted(self, agreed_ms: Mapping[str, int]) -> None:
        """Note that Redis has agreements of these symbols (the exchange's clock)."""

    def asked(self, writer: str, symbol: str, weight: int) -> None:
        """Judge a request for evidence that leaves now."""
