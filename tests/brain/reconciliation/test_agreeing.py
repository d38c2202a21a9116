"""Moments of agreement: the first of a ledger that has not moved, and of a moved one once it lasts."""

from __future__ import annotations

import pytest

from brain.ledger.ledger import StoredLedger
from brain.reconciliation.agreed import Agreed, amounts_text
from brain.reconciliation.agreeing import Agreements
from tests.brain.reconciliation.cases import BTC, stored

SETTLE_SEC = 2.0


@pytest.fixture
def agreements() -> Agreements:
    """Agreed first at 1000 ms, with a ledger of 0 in version 3."""
    made = Agreements(SETTLE_SEC)
    made.agree(BTC, Agreed(1000, "0", "3"), 0.0)
    return made


def agreed_ms(agreements: Agreements, version: str | None = "3", amount: str = "0") -> int:
    return latest_ms(agreements, amount, version)


def latest_ms(agreements: Agreements, amount: str, version: str | None, noted: Agreed | None = None) -> int:
    found = agreements.latest(BTC, stored(amount), version, noted)
    return 0 if found is None else found.at_ms


def test_the_first_agreement_of_a_symbol_counts_at_once(agreements: Agreements) -> None:
    assert agreed_ms(agreements) == 1000


def test_a_later_agreement_of_the_same_ledger_says_no_more(agreements: Agreements) -> None:
    for second in range(1, 60):
        agreements.agree(BTC, Agreed(1000 + 1000 * second, "0", "3"), float(second))
    agreements.interrupt(BTC)
    agreements.agree(BTC, Agreed(100_000, "0", "3"), 90.0)
    agreements.agree(BTC, Agreed(110_000, "0", "3"), 100.0)
    assert agreed_ms(agreements) == 1000


def test_a_ledger_with_other_amounts_agrees_from_the_begin_of_two_seconds_on(agreements: Agreements) -> None:
    agreements.agree(BTC, Agreed(5000, "1", "4"), 10.0)
    agreements.agree(BTC, Agreed(6000, "1", "4"), 11.9)
    assert agreed_ms(agreements, "4") == 1000
    agreements.agree(BTC, Agreed(7000, "1", "4"), 12.0)
    assert agreed_ms(agreements, "4") == 5000


@pytest.mark.parametrize("interruption", ["interrupt", "move"])
def test_a_break_begins_the_two_seconds_anew(agreements: Agreements, interruption: str) -> None:
    agreements.agree(BTC, Agreed(5000, "1", "4"), 10.0)
    getattr(agreements, interruption)(BTC)
    agreements.agree(BTC, Agreed(7000, "1", "5"), 12.5)
    assert agreed_ms(agreements, "5") == 1000
    agreements.agree(BTC, Agreed(9000, "1", "5"), 14.5)
    assert agreed_ms(agreements, "5") == 7000


def test_amounts_that_change_within_the_two_seconds_begin_them_anew(agreements: Agreements) -> None:
    agreements.agree(BTC, Agreed(5000, "1", "4"), 10.0)
    agreements.agree(BTC, Agreed(6000, "2", "5"), 11.0)
    agreements.agree(BTC, Agreed(7000, "2", "5"), 12.5)
    assert agreed_ms(agreements, "5") == 1000


def test_a_ledger_that_moved_and_came_back_agrees_anew(agreements: Agreements) -> None:
    agreements.move(BTC)
    agreements.agree(BTC, Agreed(5000, "0", "5"), 10.0)
    agreements.agree(BTC, Agreed(8000, "0", "5"), 13.0)
    assert agreed_ms(agreements, "5") == 5000


def test_a_ledger_that_is_stored_with_other_amounts_has_moved(agreements: Agreements) -> None:
    agreements.view(BTC, stored("1"), "4", None)
    agreements.agree(BTC, Agreed(5000, "0", "4"), 10.0)
    agreements.agree(BTC, Agreed(8000, "0", "4"), 13.0)
    assert agreed_ms(agreements, "4") == 5000


def test_a_ledger_that_differed_does_not_agree_by_the_exchanges_move(agreements: Agreements) -> None:
    """It was moved by a booking to 2 while the exchange had 3; then the exchange comes to 2."""
    agreements.differ(BTC, stored("2"), "4", "3", 4000)
    for second in (10.0, 13.0, 100.0):
        agreements.agree(BTC, Agreed(5000, "2", "4"), second)
    assert BTC in agreements.apart()
    assert agreed_ms(agreements, "4", "2") == 1000


def test_it_agrees_once_the_ledger_has_moved(agreements: Agreements) -> None:
    agreements.differ(BTC, stored("0"), "3", "2", 4000)
    agreements.agree(BTC, Agreed(5000, "2", "4"), 10.0)
    agreements.agree(BTC, Agreed(8000, "2", "4"), 12.0)
    assert agreed_ms(agreements, "4", "2") == 5000
    assert BTC not in agreements.apart()


@pytest.mark.parametrize("nearer", ["0", "-1", "1"])
def test_bookings_do_not_end_an_agreement_behind_which_the_exchange_has_come_back(
    agreements: Agreements, nearer: str
) -> None:
    """Of 2 that the ledger lacks the exchange takes some back; then the rest is booked."""
    agreements.differ(BTC, stored("0"), "3", "2", 4000)
    agreements.differ(BTC, stored("0"), "3", nearer, 4000)
    for second in (10.0, 12.0):
        agreements.agree(BTC, Agreed(5000, "7", "4"), second)
    assert agreements.get(BTC) == Agreed(1000, "7", "4", "0")


def test_a_correction_by_hand_ends_it(agreements: Agreements) -> None:
    agreements.differ(BTC, stored("0"), "3", "2", 4000)
    agreements.differ(BTC, stored("0"), "3", "1", 4000)
    for second in (10.0, 12.0):
        agreements.agree(BTC, Agreed(5000, "1", "3"), second)
    assert agreements.get(BTC) == Agreed(5000, "1", "3", "1")
    for second in (20.0, 22.0):
        agreements.agree(BTC, Agreed(9000, "4", "4"), second)
    assert agreements.get(BTC) == Agreed(9000, "4", "4", "4")


@pytest.mark.parametrize(
    ("ledger", "version", "then"),
    [("0", "3", "3"), (None, None, "1"), ("0", "3", "1")],
    ids=["corrected", "adopted", "adopted between two looks"],
)
def test_a_ledger_that_was_set_agrees_at_once_and_in_flight_too(
    agreements: Agreements, ledger: str | None, version: str | None, then: str
) -> None:
    agreements.differ(BTC, StoredLedger(last_known_amt=ledger), version, "2", 4000)
    seen = Agreed(5000, "2", then)
    assert agreements.was_set(BTC, seen)
    agreements.agree(BTC, seen, 10.0)
    assert agreements.get(BTC) == seen._replace(began="2")
    assert not agreements.was_set(BTC, seen)


def test_a_ledger_that_was_corrected_before_the_exchange_moved_on_agreed_when_it_was_compared(
    agreements: Agreements,
) -> None:
    agreements.differ(BTC, stored("0"), "3", "2", 4000)
    agreements.differ(BTC, stored("2"), "3", "5", 6000)
    assert agreements.get(BTC) == Agreed(4000, "2", "3", "2")
    assert BTC in agreements.apart()


@pytest.mark.parametrize(("amount", "version"), [("2", "4"), ("1", "3"), ("0", "3"), ("2", None)])
def test_a_ledger_that_was_booked_or_set_to_another_amount_agreed_at_no_time(
    agreements: Agreements, amount: str, version: str | None
) -> None:
    agreements.differ(BTC, stored("0"), "3", "2", 4000)
    agreements.differ(BTC, stored(amount), version, "5", 6000)
    assert agreed_ms(agreements, "4", amount) == 1000


@pytest.mark.parametrize(("amount", "then"), [("2", "4"), ("0", "3"), ("2", None)])
def test_a_ledger_that_was_booked_or_is_as_it_was_was_not_set(
    agreements: Agreements, amount: str, then: str | None
) -> None:
    agreements.differ(BTC, stored("0"), "3", "2", 4000)
    assert not agreements.was_set(BTC, Agreed(5000, amount, then))


@pytest.mark.parametrize(("before", "then"), [("1", "3"), ("-1", "-1"), ("0.5", "2.5")])
def test_parts_of_fills_that_follow_each_other_are_no_way_back(
    agreements: Agreements, before: str, then: str
) -> None:
    agreements.differ(BTC, stored("0"), "3", before, 4000)
    agreements.differ(BTC, stored("0"), "3", then, 4000)
    for second in (10.0, 12.0):
        agreements.agree(BTC, Agreed(5000, then, "4"), second)
    assert agreed_ms(agreements, "4", then) == 5000


def test_a_leg_alone_can_come_back() -> None:
    agreements = Agreements(SETTLE_SEC)
    agreements.agree(BTC, Agreed(1000, "0|0|0", "3"), 0.0)
    agreements.differ(BTC, stored("0", "0", "0"), "3", "1|2|-1", 4000)
    agreements.differ(BTC, stored("0", "0", "0"), "3", "2|1|1", 4000)
    for second in (10.0, 12.0):
        agreements.agree(BTC, Agreed(5000, "2|1|1", "4"), second)
    assert agreed_ms(agreements, "4") == 1000


def test_an_agreement_does_not_count_for_an_earlier_version(agreements: Agreements) -> None:
    assert agreed_ms(agreements, "2") == agreed_ms(agreements, None) == 0
    assert agreed_ms(agreements, "7") == 1000
    agreements.agree(BTC, Agreed(5000, "0", "2"), 10.0)
    agreements.agree(BTC, Agreed(8000, "0", "2"), 13.0)
    assert agreed_ms(agreements, "2") == 5000


def test_an_agreement_of_an_unknown_version_counts_and_gets_the_version_that_is_read_first() -> None:
    agreements = Agreements(SETTLE_SEC)
    agreements.agree(BTC, Agreed(1000, "0", None), 0.0)
    assert agreed_ms(agreements, "7") == 1000
    agreements.view(BTC, stored("0"), "7", None)
    assert agreements.get(BTC) == Agreed(1000, "0", "7", "0")
    assert agreed_ms(agreements, "6") == 0


def test_the_noted_agreement_of_the_same_ledger_is_the_first_one(agreements: Agreements) -> None:
    noted = Agreed(400, "0", "3")
    agreements.view(BTC, stored("0"), "3", noted)
    assert latest_ms(agreements, "0", "3", noted) == 400


@pytest.mark.parametrize("noted", [Agreed(400, "1", "3"), Agreed(400, "0", "2"), Agreed(400, "", "3")])
def test_that_of_another_ledger_is_not(agreements: Agreements, noted: Agreed) -> None:
    agreements.view(BTC, stored("0"), "3", noted)
    assert latest_ms(agreements, "0", "3", noted) == 1000


def test_a_noted_agreement_is_where_another_process_goes_on() -> None:
    agreements, noted = Agreements(SETTLE_SEC), Agreed(400, "0", "3")
    agreements.view(BTC, stored("0"), "3", noted)
    agreements.agree(BTC, Agreed(9000, "0", "3"), 0.0)
    assert agreements.get(BTC) == noted
    agreements.differ(BTC, stored("0"), "3", "2", 4000)
    agreements.differ(BTC, stored("0"), "3", "1", 4000)
    for second in (10.0, 12.0):
        agreements.agree(BTC, Agreed(9000, "5", "4"), second)
    assert agreed_ms(agreements, "4") == 400


@pytest.mark.parametrize(("version", "since_ms"), [("5", 1000), ("8", 5000)])
def test_another_process_does_not_take_a_ledger_that_has_moved_for_the_noted_one(
    version: str, since_ms: int
) -> None:
    """A correction by hand in between contains what was traded before: that is not booked on top."""
    agreements = Agreements(SETTLE_SEC)
    agreements.view(BTC, stored("0"), version, Agreed(1000, "0", "5"))
    for second in (10.0, 12.0):
        agreements.agree(BTC, Agreed(5000, "0", version), second)
    assert agreed_ms(agreements, version) == since_ms


def test_a_ledger_that_was_corrected_since_it_was_noted_agrees_at_another_process_first_sight() -> None:
    """It has the noted version, and other amounts: a person has set it."""
    agreements, noted = Agreements(SETTLE_SEC), Agreed(400, "0", "3")
    agreements.view(BTC, stored("2"), "3", noted)
    agreements.agree(BTC, Agreed(5000, "2", "3"), 0.0)
    assert latest_ms(agreements, "2", "3", noted) == 5000


def test_without_another_one_a_noted_agreement_counts_for_later_versions() -> None:
    agreements, noted = Agreements(SETTLE_SEC), Agreed(400, "0", "3")
    assert latest_ms(agreements, "5", "4", noted) == 400
    assert latest_ms(agreements, "5", "2", noted) == 0


def test_after_a_break_of_redis_an_agreement_counts_for_the_same_ledger_alone(agreements: Agreements) -> None:
    agreements.drop()
    assert agreed_ms(agreements) == 1000
    assert agreed_ms(agreements, "4") == agreed_ms(agreements, "3", "1") == 0
    agreements.agree(BTC, Agreed(5000, "0", "3"), 10.0)
    agreements.view(BTC, stored("0"), "3", None)
    assert agreed_ms(agreements) == 1000


@pytest.mark.parametrize(
    ("noted", "version", "amount", "since_ms"),
    [
        # A person has set the ledger since it was noted.
        (Agreed(400, "5", "3"), "3", "0", 1000),
        (Agreed(2000, "0", "3"), "3", "0", 2000),
        (Agreed(400, "5", "3"), "4", "0", 400),
        (Agreed(2000, "0", "7"), "3", "0", 1000),
    ],
)
def test_an_agreement_of_before_a_break_counts_beside_an_earlier_noted_one(
    agreements: Agreements, noted: Agreed, version: str, amount: str, since_ms: int
) -> None:
    agreements.drop()
    agreements.view(BTC, stored(amount), version, noted)
    agreements.agree(BTC, Agreed(5000, "9", version), 10.0)
    assert latest_ms(agreements, amount, version, noted) == since_ms


def test_after_a_break_another_ledger_agrees_at_first_sight(agreements: Agreements) -> None:
    agreements.drop()
    agreements.agree(BTC, Agreed(5000, "2", "4"), 10.0)
    agreements.view(BTC, stored("2"), "4", None)
    assert agreed_ms(agreements, "4", "2") == 5000


def test_the_legs_of_a_ledger_count_in_hedge_mode() -> None:
    agreements = Agreements(SETTLE_SEC)
    agreements.agree(BTC, Agreed(1000, amounts_text("2", "5", "-3"), "3"), 0.0)
    agreements.view(BTC, stored("2", "5", "-3"), "3", Agreed(400, "2|5|-3", "3"))
    assert agreed_ms(agreements) == 400
    agreements.view(BTC, stored("2", "4", "-2"), "4", None)
    agreements.agree(BTC, Agreed(5000, "2|5|-3", "5"), 10.0)
    agreements.agree(BTC, Agreed(8000, "2|5|-3", "5"), 13.0)
    assert agreed_ms(agreements, "5") == 5000


@pytest.mark.parametrize("text", ["0.00", "0e3", "-0"])
def test_amounts_of_equal_value_are_the_same_in_whatever_form(agreements: Agreements, text: str) -> None:
    agreements.view(BTC, stored(text), "3", None)
    agreements.agree(BTC, Agreed(5000, "0", "3"), 10.0)
    agreements.agree(BTC, Agreed(8000, "0", "3"), 13.0)
    assert agreed_ms(agreements, amount=text) == 1000
    agreements.view(BTC, stored("a lot"), "3", None)
    agreements.agree(BTC, Agreed(15_000, "0", "3"), 20.0)
    agreements.agree(BTC, Agreed(18_000, "0", "3"), 23.0)
    assert agreed_ms(agreements) == 15_000


def test_the_amounts_of_the_earliest_moment_are_those_that_were_noted_with_it(agreements: Agreements) -> None:
    """It was kept over bookings: both had 5 at 400 ms."""
    noted = Agreed(400, "0", "3", "5")
    agreements.view(BTC, stored("0"), "3", noted)
    assert agreements.get(BTC) == noted
