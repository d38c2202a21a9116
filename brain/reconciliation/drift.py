"""Differences between the exchange's position and the ledger, by leg."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

import msgspec

from brain.identifiers import Symbol
from brain.numbers import EXACT, ZERO, plain
from brain.positions.position import Leg

_ROUNDING = Context(prec=80, rounding=ROUND_HALF_EVEN)
_PERCENT = Decimal("0.0001")
#: Owner of a hold of the reconcile engine: this, and the drift's signature.
SIG_PREFIX = "p34:"


class DriftReason(StrEnum):
    """Reason of a drift, as `quantum:reconcile:hold_reason:<symbol>` shows it."""

    SIDE_MISMATCH = "side_mismatch"
    QTY_MISMATCH = "qty_mismatch"
    STALE_EXCHANGE = "stale_exchange"
    MISSING_EXCHANGE = "missing_exchange"
    MISSING_LEDGER = "missing_ledger"

    @property
    def compares(self) -> bool:
        """Return True if both amounts are known: only then there is evidence to look for."""
        return self in (DriftReason.SIDE_MISMATCH, DriftReason.QTY_MISMATCH)


class LegAmounts(msgspec.Struct, frozen=True):
    """Signed amounts of one leg (contracts).

    `ignored`: its difference is less than a market step, or open permits explain it.
    """

    leg: Leg
    exchange: Decimal
    ledger: Decimal
    ignored: bool = False

    @property
    def difference(self) -> Decimal:
        """Return the exchange's amount less the ledger's (contracts)."""
        return EXACT.subtract(self.exchange, self.ledger)

    @property
    def larger(self) -> Decimal:
        """Return the larger of the two amounts, unsigned."""
        return max(self.exchange.copy_abs(), self.ledger.copy_abs())


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that no open permit explains.

    `legs`: all legs of the account's mode; those in `drifted` make the drift. `exceeds`: it is above the
    tolerance, or the sides differ. `version`: the ledger's, as stored. `problem`: the reason for which the
    ledger has no amounts (`legs` then have 0), empty where it has.
    """

    symbol: Symbol
    reason: DriftReason
    legs: tuple[LegAmounts, ...]
    exceeds: bool
    version: str | None
    problem: str = ""

    @property
    def drifted(self) -> tuple[LegAmounts, ...]:
        """Return the legs with a difference that is not ignored."""
        return tuple(each for each in self.legs if each.exchange != each.ledger and not each.ignored)


class DriftNumbers(NamedTuple):
    """Numbers of a drift as operators read them, signed, in contracts.

    `exchange` and `ledger` are sums over the legs; `ledger` is None for a ledger without amounts.
    `difference` (exchange less ledger) is that of the drifted leg that differs most, and `percent` its share
    of the larger amount of that leg, with 4 decimals.
    """

    exchange: Decimal
    ledger: Decimal | None
    difference: Decimal
    percent: Decimal


def drift_numbers(drift: Drift) -> DriftNumbers:
    """Return the numbers of a drift."""
    exchange = ledger = ZERO
    for each in drift.legs:
        exchange, ledger = EXACT.add(exchange, each.exchange), EXACT.add(ledger, each.ledger)
    widest = max(drift.drifted, key=lambda each: each.difference.copy_abs(), default=None)
    difference = percent = ZERO
    if widest is not None:
        difference = widest.difference
        share = _ROUNDING.divide(EXACT.multiply(difference.copy_abs(), Decimal(100)), widest.larger)
        percent = share.quantize(_PERCENT, context=_ROUNDING)
    return DriftNumbers(exchange, None if drift.problem else ledger, difference, percent)


def drift_signature(drift: Drift) -> str:
    """Return 12 hex digits of SHA-256 over symbol, both amounts of each drifted leg, and ledger version.

    Two drifts have one signature only if all of these are equal in value.
    """
    legs = "".join(
        f"|{each.leg}:{plain(each.exchange)}:{plain(each.ledger)}" for each in drift.drifted or drift.legs
    )
    text = f"{drift.symbol}{legs}|{drift.version or ''}|{drift.problem}"
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def own_sig(drift: Drift) -> str:
    """Return the owner of the hold for a drift: `p34:` and its signature."""
    return SIG_PREFIX + drift_signature(drift)
