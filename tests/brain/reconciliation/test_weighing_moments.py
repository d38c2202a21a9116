"""Trades of the very millisecond in which both sides agreed, or of the date that an adopted row bears."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from brain.identifiers import OrderId
from brain.positions.position import Leg
from brain.reconciliation.evidence import Gap, Trade
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.weighing import weigh
from tests.brain.reconciliation.cases import ADOPTED, OWN, SINCE_MS, TRADED_MS, drift, evidence, order
from tests.brain.reconciliation.test_weighing import PERSON, explained, unexplained


def at_the_agreement(*others: Trade) -> tuple[Trade, ...]:
    """A BUY of 1 by order 1 in the very millisecond of the agreement, and other trades."""
    return (Trade(1, OrderId("1"), "BUY", Leg.BOTH, Decimal(1), SINCE_MS), *others)


def test_a_fill_of_the_agreements_own_millisecond_is_booked_where_the_ledger_lacks_it() -> None:
    looked = evidence(order("1", "BUY", "1", placed_ms=SINCE_MS, updated_ms=SINCE_MS))
    looked = msgspec.structs.replace(looked, trades=at_the_agreement())
    (found,) = explained(weigh(drift("1", "0"), looked, ADOPTED)).adopted
    one = Decimal(1)
    assert (found.cause, found.quantity, found.cumulative) == (DriftCause.OWN_UNBOOKED, one, one)


@pytest.mark.parametrize("client_order_id", [OWN, PERSON])
def test_one_that_the_ledger_contains_is_not_booked_again(client_order_id: str) -> None:
    """A person has accepted it, or the ledger was adopted with it: nothing remembers the order."""
    first = order("1", "BUY", "1", client_order_id, placed_ms=SINCE_MS, updated_ms=SINCE_MS)
    looked = evidence(first, order("2", "BUY", "0.5"))
    later = Trade(2, OrderId("2"), "BUY", Leg.BOTH, Decimal("0.5"), TRADED_MS)
    looked = msgspec.structs.replace(looked, trades=at_the_agreement(later))
    (found,) = explained(weigh(drift("1.5", "1"), looked, ADOPTED)).adopted
    assert (found.order_id, found.quantity) == ("2", Decimal("0.5"))


def test_one_that_was_booked_is_not_booked_again() -> None:
    looked = evidence(
        order("1", "BUY", "1", placed_ms=SINCE_MS, updated_ms=SINCE_MS), order("2", "BUY", "1"),
        memories={"1": "1"},
    )  # fmt: skip
    later = Trade(2, OrderId("2"), "BUY", Leg.BOTH, Decimal(1), TRADED_MS)
    looked = msgspec.structs.replace(looked, trades=at_the_agreement(later))
    (found,) = explained(weigh(drift("2", "1"), looked, ADOPTED)).adopted
    assert found.order_id == "2"


@pytest.mark.parametrize("contained_ms", [0, TRADED_MS - 1, TRADED_MS, TRADED_MS + 1])
def test_a_trade_of_the_date_that_the_adopted_row_bears_is_no_evidence(contained_ms: int) -> None:
    filled = order("1", "BUY", "1", OWN)
    found = weigh(
        drift("1", "0"), msgspec.structs.replace(evidence(filled), contained_ms=contained_ms), ADOPTED
    )
    if contained_ms == TRADED_MS:
        assert unexplained(found).growths == ()
    else:
        assert [each.order_id for each in explained(found).adopted] == ["1"]


def test_an_order_of_that_millisecond_that_is_not_shown_proves_nothing() -> None:
    looked = evidence(order("2", "BUY", "0.5"))
    later = Trade(2, OrderId("2"), "BUY", Leg.BOTH, Decimal("0.5"), TRADED_MS)
    looked = msgspec.structs.replace(looked, trades=at_the_agreement(later))
    assert unexplained(weigh(drift("1.5", "0"), looked, ADOPTED)).gap is Gap.ORDER_NOT_SHOWN
    assert unexplained(weigh(drift("1.5", "1"), looked, ADOPTED)).gap is Gap.ORDER_NOT_SHOWN
