"""A decision is written only on the state that it assumed, whatever of it has changed."""

from __future__ import annotations

from typing import Any

import pytest

from brain.ledger.ledger import StoredLedger
from store.records import Changed, Committed, SymbolState
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import SYMBOL, assumed, commit, decision

LEDGER = {"last_known_amt": "0.5", "last_order_id": "7", "last_order_time_epoch": "1760000000.123"}


@pytest.mark.parametrize(
    ("name", "fields", "state"),
    [
        ("hold", None, SymbolState(hold=True)),
        ("cooldown", None, SymbolState(cooldown="1760000000000")),
        ("ledger", {"last_known_amt": "0.5"}, SymbolState(ledger=StoredLedger("0.5"))),
        ("ledger", {"last_order_id": "7"}, SymbolState(ledger=StoredLedger(None, "7"))),
        ("ledger", LEDGER, SymbolState(ledger=StoredLedger("0.5", "7", "1760000000.123"))),
        ("ledger", {"long_amt": "1"}, SymbolState(ledger=StoredLedger(long_amt="1"))),
        ("ledger", {"short_amt": "-1"}, SymbolState(ledger=StoredLedger(short_amt="-1"))),
        ("open_permits", {"v": "r5-0"}, SymbolState(permits_version="r5-0")),
    ],
    ids=["hold", "cooldown", "amount", "order id", "order time", "long", "short", "permits"],
)
async def test_whatever_the_decision_assumed_otherwise_is_reported_and_nothing_is_written(
    leased: Backend, name: str, fields: dict[str | bytes, str | bytes] | None, state: SymbolState
) -> None:
    key = getattr(KEYS, name)(SYMBOL)
    if fields is None:
        leased.outside.set(key, "1760000000000")
    else:
        leased.outside.hset(key, fields)
    before = everything(leased.outside)
    assert await commit(leased, decision("plan-1", "1-0")) == [Changed(state)]
    assert everything(leased.outside) == before

    ledger = state.ledger
    informed = assumed(
        hold=state.hold, cooldown=state.cooldown, last_known_amt=ledger.last_known_amt,
        last_order_id=ledger.last_order_id, last_order_time_epoch=ledger.last_order_time_epoch,
        long_amt=ledger.long_amt, short_amt=ledger.short_amt, permits_version=state.permits_version,
    )  # fmt: skip
    (verdict,) = await commit(leased, decision("plan-1", "1-0", assumed=informed))
    assert isinstance(verdict, Committed)


@pytest.mark.parametrize(
    "values",
    [
        {"hold": True}, {"cooldown": "1"}, {"last_known_amt": "0"}, {"last_order_id": ""},
        {"last_order_time_epoch": "1"}, {"long_amt": "0"}, {"short_amt": "0"},
        {"permits_version": "d1-0"}, {"live_permits": 1}, {"settled": True},
    ],
    ids=lambda values: next(iter(values)),
)  # fmt: skip
async def test_an_assumption_of_a_value_that_is_gone_is_a_change_too(
    leased: Backend, values: dict[str, Any]
) -> None:
    before = everything(leased.outside)
    wrong = decision("plan-1", "1-0", assumed=assumed(**values))
    assert await commit(leased, wrong) == [Changed(SymbolState())]
    assert everything(leased.outside) == before


async def test_the_ledger_is_compared_as_text_as_stored(leased: Backend) -> None:
    leased.outside.hset(KEYS.ledger(SYMBOL), {"last_known_amt": "0.50"})
    values = assumed(last_known_amt="0.5")
    (verdict,) = await commit(leased, decision("plan-1", "1-0", assumed=values))
    assert verdict == Changed(SymbolState(ledger=StoredLedger("0.50")))
