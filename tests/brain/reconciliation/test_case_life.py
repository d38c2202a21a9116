"""A person is needed where waiting cannot help."""

from __future__ import annotations

import pytest

from brain.reconciliation.case_life import needs_person
from brain.reconciliation.evidence import Explained, Finding, Gap, Unexplained
from brain.reconciliation.rules import DriftCause
from tests.brain.reconciliation.cases import growth

OWN, OUTSIDE = growth(DriftCause.OWN_UNBOOKED, "BUY", "1"), growth(DriftCause.MANUAL, "BUY", "1")


@pytest.mark.parametrize(
    ("finding", "seconds", "needed"),
    [
        (Explained((), (OUTSIDE,)), 0, True),
        # The own part is booked first; the rest is then a drift of its own.
        (Explained((OWN,), (OUTSIDE,)), 60, False),
        (Explained((OWN,), ()), 60, False),
        (Unexplained("the sum"), 14.9, False),
        (Unexplained("the sum"), 15, True),
        (Unexplained("a page", gap=Gap.PAGES), 3600, False),
        *((Unexplained("a gap", gap=gap), 15, True) for gap in Gap if gap is not Gap.PAGES),
    ],
)
def test_a_person_is_needed_where_waiting_cannot_help(finding: Finding, seconds: float, needed: bool) -> None:
    assert needs_person(finding, complete_for_sec=seconds, history_lag_sec=15) is needed
