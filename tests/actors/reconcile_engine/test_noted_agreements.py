"""Agreements as they are noted for the next process."""

from __future__ import annotations

import trio

from actors.reconcile_engine.agreements import SeenAgreements
from brain.identifiers import Symbol
from brain.ledger.ledger import StoredLedger
from store.reconcile_records import Agreement, ExpectedLedger, ReconcileView
from tests.virtual_time import virtual_time

pytestmark = virtual_time

BTC = Symbol("BTCUSDT")


def one_way(amount: str) -> ExpectedLedger:
    return ExpectedLedger(BTC, amount, None, None)


def view(amount: str, version: str, agreed: Agreement | None = None) -> ReconcileView:
    return ReconcileView(StoredLedger(last_known_amt=amount), version, {}, None, agreed, "")


async def test_an_agreement_that_is_kept_over_bookings_is_noted_with_the_amounts_of_its_moment() -> None:
    """Of 2 that the ledger lacks the exchange takes some back; then the rest is booked."""
    seen = SeenAgreements(settle_sec=2.0)
    seen.read(one_way("0"), 1000, "1")
    for exchange in ("2", "1"):
        seen.differ(one_way(exchange), 3000, view("0", "1"))
    seen.moved([BTC])
    for _ in range(2):
        seen.read(one_way("1"), 5000, "2")
        await trio.sleep(2)
    (noted,) = seen.unnoted()
    assert noted == Agreement(BTC, 1000, "2", "1", "0")
    seen.noted([noted])
    assert seen.unnoted() == []

    other = SeenAgreements(settle_sec=2.0)
    other.viewed(BTC, view("1", "2", noted))
    assert other.latest(BTC, view("1", "2", noted)) == (1000, "1", "2", "0")
    assert other.amounts_at(1000, BTC, view("1", "2", noted)) == {}
    assert list(other.amounts_at(1000, BTC, view("5", "3", noted)).values()) == [0]
    assert other.amounts_at(999, BTC, view("5", "3", noted)) == {}
    assert other.amounts_at(1002, BTC, view("5", "3", noted)) == {}
