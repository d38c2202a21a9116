from __future__ import annotations

from math import isnan

import pytest

from brain.decisions.case import Case
from brain.decisions.decision import decide, evaluation_failed, state_contended
from brain.decisions.permit_text import audit_record
from brain.decisions.reason_texts import REASON_TEXTS
from brain.identifiers import EntryId, PlanId, Symbol
from brain.plans.check_results import Outcome
from brain.plans.permit import Decision, Reason
from explanation.explaining import explain_traces
from explanation.printable import printable
from explanation.sections import Sections, sections_of
from explanation.traces import PlanTraces, Recorded
from tests.brain.cases import NOW_MS, case, snapshot
from tests.brain.test_reasons import ALLOWED, DENIED

EXAMPLES: list[tuple[Reason, Decision, Case | None]] = [
    *(
        (reason, decide(the_case), the_case)
        for reason, the_case in ALLOWED + DENIED
        # No record can hold an age that is no number, and no clock gives one.
        if the_case.snapshot is None or not isnan(the_case.snapshot.age_sec)
    ),
    (Reason.EVALUATION_FAILED, evaluation_failed(3), None),
    (Reason.STATE_CONTENDED, state_contended(5), case()),
]


def explained(decision: Decision, the_case: Case | None, **fields: str) -> Sections:
    record = audit_record(
        decision,
        the_case,
        plan_id=PlanId("plan-1"),
        symbol=Symbol("BTCUSDT"),
        issued_by="build-1 host:8045",
        fields={"plan_id": "plan-1", **fields},
        permit=b"null",
    )
    return sections_of(
        explain_traces(
            PlanTraces(
                plan_id=PlanId("plan-1"),
                now_ms=NOW_MS + 1_000,
                recorded=Recorded(EntryId(f"{NOW_MS}-0"), EntryId(f"{NOW_MS - 4}-0"), record),
                mark=None,
                permit=None,
                permit_ttl_ms=None,
                consumed_by=None,
            )
        )
    )


def test_there_is_an_example_of_every_reason() -> None:
    assert {reason for reason, _, _ in EXAMPLES} == set(Reason)


@pytest.mark.parametrize(
    ("reason", "decision", "the_case"),
    EXAMPLES,
    ids=[f"{reason}-{number}" for number, (reason, _, _) in enumerate(EXAMPLES)],
)
def test_every_answer_is_explained_in_words(
    reason: Reason, decision: Decision, the_case: Case | None
) -> None:
    text = explained(decision, the_case)
    assert (text.answer, text.reason) == ("ALLOW" if decision.allow else "DENY", reason.value)
    assert (text.finding, text.advice) == REASON_TEXTS[reason]
    denied = [check for check in text.checks if check.result is Outcome.DENIED]
    if decision.allow or reason in (Reason.EVALUATION_FAILED, Reason.STATE_CONTENDED):
        assert denied == []
    else:
        # The last check that was reached is the one that decided, and it shows what it compared.
        assert denied == [text.checks[-1]]
        assert denied[0].reason == reason.value
        assert denied[0].compared
    if the_case is not None:
        assert {name for name, _ in text.based_on} >= {"ledger", "hold", "open permits", "settings"}


def test_an_allow_shows_what_may_be_executed() -> None:
    assert explained(decide(case()), case()).order == "SELL 0.028"
    stale = case(snapshot=snapshot("0.038", age_sec=12.4))
    assert explained(decide(stale), stale).order == ""


def test_published_fields_are_shown_without_control_characters() -> None:
    text = explained(decide(case()), case(), **{"rea\u202eson": "drop\x1b[2J\u200b"})
    assert text.published == (("rea\\u202eson", "drop\\x1b[2J\\u200b"),)


def test_only_what_cannot_be_seen_is_escaped() -> None:
    assert printable("币安USDT <b>&") == "币安USDT <b>&"
    assert printable("a\nb\tc\x00\u2066\ud800") == "a\\nb\\tc\\x00\\u2066\\ud800"
