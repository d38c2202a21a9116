"""Evidence weighed again from its record."""

from __future__ import annotations

import pytest

from brain.reconciliation.evidence import Evidence, Explained, Gap, Unexplained
from brain.reconciliation.record import (
    LONGEST_RECORD,
    UnreadableWeighingError,
    record_details,
    weigh_again,
    weighed,
)
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.weighing import weigh
from tests.brain.reconciliation.cases import (
    ADOPTED,
    SINCE_MS,
    drift,
    drift_of,
    evidence,
    hedged,
    order,
    stored,
)
from tests.brain.reconciliation.test_weighing import PERSON

OWN_AND_OTHER = evidence(order("1", "BUY", "2"), order("2", "SELL", "0.5", PERSON), memories={"1": "0.4"})
LOOKS: dict[str, Evidence] = {
    "own fills and a person's": OWN_AND_OTHER,
    "nothing": evidence(),
    "pages that are missing": evidence(order("1", "BUY", "1"), complete=False),
    "an order that is not shown": evidence(order("1", "BUY", "1"), orders={}),
    "an order from before": evidence(order("1", "BUY", "1", placed_ms=SINCE_MS - 1)),
}


@pytest.mark.parametrize("what", LOOKS)
@pytest.mark.parametrize(("exchange", "ledger"), [("1.5", "0.4"), ("-1", "2"), ("1", "0")])
def test_each_look_is_weighed_identically_from_its_record(what: str, exchange: str, ledger: str) -> None:
    looked, differ = LOOKS[what], drift(exchange, ledger)
    record = weighed(differ, looked, ADOPTED)
    again = weigh_again(record_details(record)["record"])
    assert again.finding == weigh(differ, looked, ADOPTED) == record.finding
    assert again.identical and again.same_answer and again.differences() == []


def test_legs_of_hedge_mode_are_recorded() -> None:
    differ = drift_of(hedged("1", "-2"), stored("0", "0", "0"))
    again = weigh_again(record_details(weighed(differ, OWN_AND_OTHER, ADOPTED))["record"])
    assert again.identical and again.record.drift == differ


def test_another_set_of_causes_books_what_waited_for_a_person() -> None:
    looked = evidence(order("1", "SELL", "1", PERSON))
    text = record_details(weighed(drift("0", "1"), looked, frozenset()))["record"]
    recorded = weigh_again(text)
    assert isinstance(recorded.finding, Explained) and not recorded.finding.adopted
    again = weigh_again(text, {"adopted": frozenset({DriftCause.MANUAL})})
    assert isinstance(again.finding, Explained) and again.finding.adopted
    assert not again.same_answer and {name for name, _, _ in again.differences()} == {"adopted", "foreign"}


def test_a_gap_is_part_of_the_finding() -> None:
    record = weighed(drift("1", "0"), LOOKS["pages that are missing"], ADOPTED)
    again = weigh_again(record_details(record)["record"])
    assert isinstance(again.finding, Unexplained) and again.finding.gap is Gap.PAGES


def test_a_record_that_is_too_long_is_left_out() -> None:
    orders = [order(str(number), "BUY", "1") for number in range(1, 200)]
    record = weighed(drift("199", "0"), evidence(*orders), ADOPTED)
    assert record_details(record) == {} and record_details(None) == {}
    few = weighed(drift("20", "0"), evidence(*orders[:20]), ADOPTED)
    assert 0 < len(record_details(few)["record"]) <= LONGEST_RECORD


@pytest.mark.parametrize("text", ["", "{}", "[1]", "\x00"])
def test_bytes_that_are_no_record_are_named(text: str) -> None:
    with pytest.raises(UnreadableWeighingError, match="not a record of weighed evidence"):
        weigh_again(text)


def test_a_record_without_a_finding_is_named() -> None:
    text = record_details(weighed(drift("1", "0"), evidence(), ADOPTED))["record"]
    with pytest.raises(UnreadableWeighingError, match="without a finding"):
        weigh_again(text.replace('"unexplained"', '"other"'))
