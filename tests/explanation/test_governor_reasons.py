"""Each reason of the Governor, and each number that it compares, has its words."""

from __future__ import annotations

import pytest

from brain.governor.case import NeighbourView
from brain.governor.judging import trail
from brain.governor.reasons import GUARDS, GovernorReason
from explanation.compared_numbers import _PHRASES, in_words
from explanation.governor_reasons import GOVERNOR_REASON_TEXTS
from tests.brain.governor.cases import adding, closing, opening, scored

GRANTS = {GovernorReason.GRANTED, GovernorReason.GRANTED_CLOSE, GovernorReason.GRANTED_SCALED}


def test_every_reason_has_a_finding_and_every_refusal_what_to_do() -> None:
    assert set(GOVERNOR_REASON_TEXTS) == set(GovernorReason)
    for reason, text in GOVERNOR_REASON_TEXTS.items():
        assert text.finding.endswith(".")
        assert bool(text.advice) is (reason not in GRANTS)


@pytest.mark.parametrize(
    "case",
    [
        opening(),
        adding(),
        closing(),
        scored(0.7),
        closing(rules={"z_exit_base": -100.0}, kill_score=0.9),
        opening(equity=None, exposure=None, mark_price=None),
        opening(evicted_ms=1_000, redis_changed_ms=1_000),
        opening(errors_5min=9),
        *(opening(neighbours=NeighbourView(guards=(name,))) for name in GUARDS),
    ],
)
def test_everything_that_a_check_compares_has_its_words(case: object) -> None:
    for check in trail(case):  # type: ignore[arg-type]
        assert set(check.compared) <= set(_PHRASES), check.name
        assert "{}" not in in_words(check.compared)
