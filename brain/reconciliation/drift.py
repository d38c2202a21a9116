"""Differences between the exchange's position and the ledger, by leg."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.identifiers import Symbol
from brain.positions.position import Leg


class DriftReason(StrEnum):
    """Reason of a drift, as `quantum:reconcile:hold_reason:<symbol>` shows it."""

    SIDE_MISMATCH = "side_mismatch"
    QTY_MISMATCH = "qty_mismatch"
    STALE_EXCHANGE = "stale_exchange"
    MISSING_EXCHANGE = "missing_exchange"
    MISSING_LEDGER = "missing_ledger"


class LegAmounts(msgspec.Struct, frozen=True):
    """Signed amounts of one leg (contracts)."""

    leg: Leg
    exchange: Decimal
    ledger: Decimal


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that no open permit explains.

    `legs`: all legs of the account's mode; those that differ are `drifted`. `exceeds`: it is above the
    tolerance, or the sides differ. `version`: the ledger's, as stored.
    """

    symbol: Symbol
    reason: DriftReason
    legs: tuple[LegAmounts, ...]
    exceeds: bool
    version: str | None

    @property
    def drifted(self) -> tuple[LegAmounts, ...]:
        """Return the legs that differ."""
        return tuple(each for each in self.legs if each.exchange != each.ledger)
