"""Comparison of the exchange's position with the ledger, leg by leg, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from brain.identifiers import Symbol
from brain.ledger.ledger import Ledger, StoredLedger, ledger_or_problem, legs_of
from brain.numbers import EXACT, ZERO, without_residue
from brain.plans.permit import OpenPermit, explained_by
from brain.positions.position import Leg, LegPosition, side_of
from brain.reconciliation.drift import Drift, DriftReason, LegAmounts

#: Problem of a hedge-mode ledger after a correction of its sum alone.
LEGS_UNKNOWN = "its legs are not known"


class Comparison(NamedTuple):
    """Comparison of a symbol: `agrees` if each leg is equal, but for what a sum of floats has missed.

    `drift` is None where the amounts agree, where each leg differs by less than a market step, where open
    permits explain each difference, and where both are flat.
    """

    agrees: bool
    drift: Drift | None


def compare(
    symbol: Symbol,
    legs: Sequence[LegPosition],
    stored: StoredLedger,
    version: str | None,
    permits: Iterable[OpenPermit],
    *,
    now_ms: int,
    step: Decimal | None,
    tolerance_pct: Decimal,
) -> Comparison:
    """Compare a position with the ledger as stored.

    `legs`: those of a believed snapshot. `permits` count until they expire (`now_ms`: Redis's clock). `step`:
    the market step, None while unknown: then any difference counts. `tolerance_pct`: percent of the larger
    amount, as `P34_QTY_DRIFT_TOLERANCE_PCT`. The drift's ledger amounts are without the residue of a float
    (`0.30000000000000004`), which a predecessor may have written. A ledger that is missing or has no amounts,
    while the position is not flat, is a drift for `missing_ledger`, with a `problem`.
    """
    ledger = _ledger_by_leg(stored, legs, step)
    if isinstance(ledger, str):
        if stored.last_known_amt is None and not any(row.amount for row in legs):
            return Comparison(False, None)
        return Comparison(False, _without_ledger(symbol, legs, version, ledger))
    amounts = tuple(
        LegAmounts(leg, _amount_of(legs, leg), ledger_amount) for leg, ledger_amount in ledger.items()
    )
    if all(each.exchange == each.ledger for each in amounts):
        return Comparison(True, None)
    live = [permit for permit in permits if permit.expires_ms > now_ms]
    legs_compared = tuple(
        each if _counts(each, live, step) else replace(each, ignored=True) for each in amounts
    )
    drifted = [each for each in legs_compared if not each.ignored]
    if not drifted:
        return Comparison(False, None)
    two_sided = any(_on_two_sides(each) for each in drifted)
    reason = DriftReason.SIDE_MISMATCH if two_sided else DriftReason.QTY_MISMATCH
    exceeds = any(_exceeds(each, tolerance_pct) for each in drifted)
    return Comparison(
        False, Drift(symbol=symbol, reason=reason, legs=legs_compared, exceeds=exceeds, version=version)
    )


def unseen(
    symbol: Symbol, last_legs: Sequence[LegPosition] | None, stored: StoredLedger, version: str | None
) -> Drift | None:
    """Return the drift of a symbol whose position is not believed; None where nothing is at stake.

    `last_legs`: the last known position, None for none (`missing_exchange`, else `stale_exchange`). Nothing
    is at stake where both it and the ledger are flat or missing. The exchange's amounts are the last known.
    """
    rows = last_legs or ()
    ledger = _ledger_by_leg(stored, rows, None)
    problem = ""
    if isinstance(ledger, str):
        problem = ledger
        at_stake = stored.last_known_amt is not None or any(row.amount for row in rows)
        ledger = dict.fromkeys([row.leg for row in rows] or [Leg.BOTH], ZERO)
    else:
        at_stake = any(ledger.values()) or any(row.amount for row in rows)
    if not at_stake:
        return None
    return Drift(
        symbol=symbol,
        reason=DriftReason.MISSING_EXCHANGE if last_legs is None else DriftReason.STALE_EXCHANGE,
        legs=tuple(LegAmounts(leg, _amount_of(rows, leg), amount) for leg, amount in ledger.items()),
        exceeds=False,
        version=version,
        problem=problem,
    )


def _without_ledger(symbol: Symbol, legs: Sequence[LegPosition], version: str | None, problem: str) -> Drift:
    return Drift(
        symbol=symbol,
        reason=DriftReason.MISSING_LEDGER,
        legs=tuple(LegAmounts(row.leg, row.amount, ZERO) for row in legs),
        exceeds=False,
        version=version,
        problem=problem,
    )


def _ledger_by_leg(
    stored: StoredLedger, rows: Sequence[LegPosition], step: Decimal | None
) -> dict[Leg, Decimal] | str:
    """Return the ledger's amount of each leg of the rows' position mode, or the reason for having none.

    Decisions read the ledger in the same way, but for the residue of a float.
    """
    ledger: Ledger | str = ledger_or_problem(stored)
    if isinstance(ledger, str):
        return ledger
    if step is not None:
        ledger = _without_residues(ledger, step)
    if all(row.leg is Leg.BOTH for row in rows):
        return {Leg.BOTH: ledger.amount}
    legs = legs_of(ledger, rows)
    return LEGS_UNKNOWN if legs is None else {Leg.LONG: legs.long, Leg.SHORT: legs.short}


def _without_residues(ledger: Ledger, step: Decimal) -> Ledger:
    def cut(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else without_residue(amount, step)

    return replace(
        ledger,
        amount=without_residue(ledger.amount, step),
        long_amount=cut(ledger.long_amount),
        short_amount=cut(ledger.short_amount),
    )


def _amount_of(rows: Iterable[LegPosition], leg: Leg) -> Decimal:
    return next((row.amount for row in rows if row.leg is leg), ZERO)


def _counts(amounts: LegAmounts, live: Iterable[OpenPermit], step: Decimal | None) -> bool:
    """Return True for a difference of a market step or more that no open permit explains."""
    difference = amounts.difference
    if not difference or (step is not None and difference.copy_abs() < step):
        return False
    return not explained_by((permit for permit in live if permit.leg is amounts.leg), difference)


def _on_two_sides(amounts: LegAmounts) -> bool:
    exchange, ledger = amounts.exchange, amounts.ledger
    return bool(exchange and ledger) and side_of(exchange) is not side_of(ledger)


def _exceeds(amounts: LegAmounts, tolerance_pct: Decimal) -> bool:
    """Return True for a difference above the tolerance, on two sides, or from or to zero."""
    if not amounts.exchange or not amounts.ledger or _on_two_sides(amounts):
        return True
    hundredfold = EXACT.multiply(amounts.difference.copy_abs(), Decimal(100))
    return hundredfold > EXACT.multiply(tolerance_pct, amounts.larger)
