"""Stages of a case: what a look at the evidence leads to, and when a person is needed."""

from __future__ import annotations

from enum import StrEnum

from brain.reconciliation.evidence import Explained, Finding, Gap


class CaseStatus(StrEnum):
    """`status` of `quantum:reconcile:state:<symbol>`.

    `DRIFT`: a difference without a hold of the reconcile engine. `HOLD`: held, and evidence is looked for.
    """

    OK = "OK"
    DRIFT = "DRIFT"
    HOLD = "HOLD"
    REPAIRED = "REPAIRED"
    MANUAL_REQUIRED = "MANUAL_REQUIRED"


def needs_person(finding: Finding, *, complete_for_sec: float, history_lag_sec: float) -> bool:
    """Return True if a person has to act: the engine will not set the ledger right by itself.

    At once, where the drift is explained and nothing of it may be booked. Where a look at all pages explains
    nothing, once such looks have gone on for `history_lag_sec` (`complete_for_sec`: since the first of the
    drift): the exchange's lists may lag so far. Pages that were not read prove nothing, however long.
    """
    if isinstance(finding, Explained):
        return not finding.adopted
    return finding.gap is not Gap.PAGES and complete_for_sec >= history_lag_sec
