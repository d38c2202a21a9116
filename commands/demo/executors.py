"""Execution of the demo's plans, which the demo plays or the daemon does."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, Protocol

from commands.demo.scenarios import PlanToPublish


class Fill(NamedTuple):
    """Executed order: signed contracts, and a moment before it (trio's clock)."""

    change: Decimal
    begun_sec: float


class Executor(Protocol):
    """Fate of published plans."""

    async def follow(
        self, plan: PlanToPublish, symbol: str, scenario: str, published_sec: float
    ) -> Fill | None:
        """Wait for the end of a plan, and tally it; return the executed order, if there is one.

        `published_sec` is trio's clock.
        """
