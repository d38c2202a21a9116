from __future__ import annotations

import pytest

from brain.decisions.reason_texts import REASON_TEXTS
from brain.plans.permit import Reason

#: Nobody has to do anything about these.
IN_ORDER = {
    Reason.SANITY_CHECKS_PASSED,
    Reason.OPEN_PERMIT_GRANTED,
    Reason.RECONCILE_CLOSE_BYPASS,
    Reason.NO_QUANTITY_CHANGE,
    Reason.NO_POSITION,
    Reason.BELOW_MIN_QTY,
}


def test_every_reason_has_its_words() -> None:
    assert set(REASON_TEXTS) == set(Reason)
    assert len({text.finding for text in REASON_TEXTS.values()}) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_told_in_whole_sentences_without_its_own_code(reason: Reason) -> None:
    finding, advice = REASON_TEXTS[reason]
    for text in (finding, advice):
        assert reason.value not in text
        assert text == text.strip() and (not text or text.endswith("."))
    assert finding[0].isupper() and len(finding.split()) >= 8
    assert bool(advice) is (reason not in IN_ORDER)
