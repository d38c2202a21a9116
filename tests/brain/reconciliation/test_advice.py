"""Every open case says why it is not repaired and what a person can do."""

from __future__ import annotations

import pytest

from brain.identifiers import ClientOrderId
from brain.ledger.ledger import StoredLedger
from brain.reconciliation.advice import advise, held_by_another, problem_of, why
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.comparing import unseen
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Explained, Finding, Gap, Unexplained
from brain.reconciliation.rules import DriftCause
from tests.brain.reconciliation.cases import BTC, drift, drift_of, growth, hedged, one_way, stored

ACCEPT = "`redis-cli HSET acct:position:ledger:BTCUSDT last_known_amt 3`"
FOREIGN = {
    cause: Explained((), (growth(cause, "BUY", "2", client_order_id=ClientOrderId("web_1")),))
    for cause in DriftCause
}


def advice(
    status: CaseStatus, found: Drift, finding: Finding | None = None, held_by: str | None = None
) -> str:
    return advise(status, found, finding, held_by=held_by, key_prefix="acct")


@pytest.mark.parametrize("cause", [DriftCause.MANUAL, DriftCause.STOP])
def test_outside_trades_are_accepted_undone_or_listed(cause: DriftCause) -> None:
    text = advice(CaseStatus.MANUAL_REQUIRED, drift("3", "1"), FOREIGN[cause])
    assert ACCEPT in text
    assert "undo those trades" in text
    assert f"P34_ADOPT_CAUSES with {cause} " in text
    assert "web_1" in why(FOREIGN[cause])


@pytest.mark.parametrize("cause", [DriftCause.LIQUIDATION, DriftCause.ADL, DriftCause.SETTLEMENT])
def test_trades_of_the_exchange_cannot_be_undone(cause: DriftCause) -> None:
    text = advice(CaseStatus.MANUAL_REQUIRED, drift("3", "1"), FOREIGN[cause])
    assert ACCEPT in text
    assert "undo" not in text
    assert f"P34_ADOPT_CAUSES with {cause} " in text


def test_a_close_of_what_the_ledger_has_is_looked_into() -> None:
    text = advice(CaseStatus.MANUAL_REQUIRED, drift("3", "4"), FOREIGN[DriftCause.RECONCILE_CLOSE])
    assert ACCEPT in text
    assert "P34_ADOPT_CAUSES" not in text


def test_an_unexplained_drift_is_compared_and_accepted() -> None:
    text = advice(CaseStatus.MANUAL_REQUIRED, drift("3", "1"), Unexplained("no trade explains it"))
    assert "position-state-brain explain BTCUSDT" in text
    assert ACCEPT in text


def test_in_hedge_mode_the_legs_are_set_with_the_sum() -> None:
    found = drift_of(hedged("3", "-1"), stored("0", "1", "-1"))
    text = advice(CaseStatus.MANUAL_REQUIRED, found, FOREIGN[DriftCause.MANUAL])
    assert "last_known_amt 2 long_amt 3 short_amt -1`" in text


@pytest.mark.parametrize(
    ("sig", "words"),
    [
        ("operator:root", "`position-state-brain release BTCUSDT --reason TEXT`"),
        ("exec:plan-1", "executor"),
        ("risk-service", "`position-state-brain release BTCUSDT --reason TEXT --force`"),
        ("", "`position-state-brain release BTCUSDT --reason TEXT --force`"),
    ],
)
def test_the_hold_of_another_is_its_owners(sig: str, words: str) -> None:
    assert words in advice(CaseStatus.DRIFT, drift("3", "1"), held_by=sig)
    assert sig in held_by_another(sig)


@pytest.mark.parametrize("gap", Gap)
def test_a_case_that_is_looked_at_again_says_so(gap: Gap) -> None:
    assert advice(CaseStatus.HOLD, drift("3", "1"), Unexplained("why", gap=gap))
    assert "Nothing has to be done" in advice(CaseStatus.HOLD, drift("3", "1"))


@pytest.mark.parametrize("status", [CaseStatus.OK, CaseStatus.REPAIRED])
def test_nothing_is_to_be_done_for_a_case_that_is_over(status: CaseStatus) -> None:
    assert advice(status, drift("3", "1")) == ""


@pytest.mark.parametrize(
    ("found", "problem", "words"),
    [
        (drift_of(one_way("3"), StoredLedger()), "missing", "adopted"),
        (drift_of(one_way("3"), stored("x")), "unreadable", ACCEPT),
        (drift_of(hedged("2", "-1"), stored("5", "2", "-1")), "its legs", "long_amt 2 short_amt -1`"),
        (unseen(BTC, None, stored("1"), "7"), "never read", "/status"),
        (unseen(BTC, one_way("1"), stored("1"), "7"), "current", "/status"),
    ],
)
def test_a_case_without_two_amounts_says_which_is_missing(
    found: Drift | None, problem: str, words: str
) -> None:
    assert found is not None
    assert problem in problem_of(found)
    assert words in advice(CaseStatus.DRIFT, found)


def test_a_drift_that_is_booked_whole_needs_no_words() -> None:
    assert why(Explained((growth(DriftCause.OWN_UNBOOKED, "BUY", "1"),), ())) == ""
    assert problem_of(drift("1", "0")) == ""
