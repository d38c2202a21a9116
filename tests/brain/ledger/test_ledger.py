"""Reading a ledger as stored."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.ledger.ledger import Ledger, StoredLedger, UnreadableLedgerError, parse_ledger

texts = st.none() | st.text() | st.decimals().map(str)


def test_a_complete_ledger() -> None:
    ledger = parse_ledger(StoredLedger("0.018", "17", "1760000000.5", "0.038", "-0.02"))
    assert ledger == Ledger(Decimal("0.018"), Decimal("0.038"), Decimal("-0.02"), Decimal("1760000000.5"))


def test_an_amount_alone_is_a_ledger_and_anything_without_one_is_missing() -> None:
    assert parse_ledger(StoredLedger("-0.5")) == Ledger(Decimal("-0.5"), None, None, None)
    assert parse_ledger(StoredLedger(last_order_id="17", long_amt="x")) is None


def test_an_adopted_ledger_has_no_order_time() -> None:
    ledger = parse_ledger(StoredLedger("1", last_order_id="", last_order_time_epoch=""))
    assert ledger is not None
    assert ledger.last_order_sec is None


def test_zero_without_legs_is_flat_on_both() -> None:
    ledger = parse_ledger(StoredLedger("0"))
    assert ledger == Ledger(Decimal(0), Decimal(0), Decimal(0), None)


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        (StoredLedger(""), "last_known_amt"),
        (StoredLedger("nan"), "last_known_amt"),
        (StoredLedger("0.5 "), "last_known_amt"),
        (StoredLedger("1", last_order_time_epoch="today"), "last_order_time_epoch"),
        (StoredLedger("1", long_amt="all"), "long_amt"),
        (StoredLedger("1", short_amt="-inf"), "short_amt"),
    ],
)
def test_an_unreadable_field_is_named(stored: StoredLedger, field: str) -> None:
    with pytest.raises(UnreadableLedgerError, match=field):
        parse_ledger(stored)


@given(st.builds(StoredLedger, texts, texts, texts, texts, texts))
def test_any_text_is_a_ledger_or_missing_or_unreadable(stored: StoredLedger) -> None:
    try:
        ledger = parse_ledger(stored)
    except UnreadableLedgerError:
        return
    assert (ledger is None) is (stored.last_known_amt is None)
