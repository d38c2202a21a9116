"""Scenarios: one plan or two at once, each with the outcome that the contract requires."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

import msgspec

from commands.demo.exchange_client import TradedSymbol
from commands.demo.outcome import Outcome
from commands.demo.plans import Fields


class Cooling(StrEnum):
    """State of the symbol's cooldown, as far as another service can know it."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


class Governor(StrEnum):
    """The Governor's answer to a plan."""

    GRANTS = "grants"
    DENIES = "denies"
    IS_SILENT = "is silent"


class SymbolState(msgspec.Struct, frozen=True):
    """A symbol whose ledger equals its position, `amount`, signed contracts."""

    symbol: TradedSymbol
    amount: Decimal
    cooling: Cooling
    in_universe: bool = True
    listed: bool = True


class Intent(msgspec.Struct, frozen=True):
    """Fields of an intent, and the key of its stream."""

    stream: str
    fields: Fields


class PlanToPublish(msgspec.Struct, frozen=True):
    """A plan's fields and its expected outcome; `also`: others that are expected, too.

    With an `intent` this is published in the plan's place: the bridge makes the plan.
    """

    fields: Fields
    expected: Outcome
    governor: Governor = Governor.GRANTS
    intent: Intent | None = None
    also: tuple[Outcome, ...] = ()

    def expects(self, outcome: Outcome) -> bool:
        """Return True for an outcome that is as expected."""
        return outcome == self.expected or outcome in self.also


class Scenario(msgspec.Struct, frozen=True):
    """Plans that are published at once; with `hold`, while the reconcile engine holds the symbol."""

    name: str
    plans: tuple[PlanToPublish, ...]
    hold: bool = False


def share_of(size: Decimal, percent: int, step: Decimal) -> Decimal:
    """Return `percent` of a position, rounded down to the step."""
    steps = size * percent / 100 / step
    return steps.to_integral_value(ROUND_DOWN) * step
