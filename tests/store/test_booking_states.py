"""State that a booking rests on, as it is read."""

from __future__ import annotations

import pytest

from brain.identifiers import OrderId, PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.errors import StoreRefusedError
from store.records import BookingKeys, BookingState
from store.stored_values import UNREADABLE
from tests.store.backends import KEYS, Backend
from tests.store.commits import ANOTHER, ORDER, PERMIT, PLAN, SYMBOL


async def test_the_booking_state_is_what_is_stored(backend: Backend) -> None:
    assert await backend.store.booking_state(SYMBOL, PLAN, [ORDER]) == BookingState(
        StoredLedger(), None, {}, None, None
    )
    backend.outside.hset(
        KEYS.ledger(SYMBOL),
        {
            "last_known_amt": "0.5", "last_order_id": "7", "last_order_time_epoch": "1.5", "long_amt": "1",
            "short_amt": "-0.5", "version": "3", "adopted_exchange_ms": "11", "adopted_at_ms": "12",
        },
    )  # fmt: skip
    backend.outside.hset(KEYS.order_memory(SYMBOL), {ORDER: "0.3|1", "1003": "9|9"})
    backend.outside.hset(KEYS.open_permits(SYMBOL), {"p:plan-1": PERMIT, "p:plan-2": "another"})
    backend.outside.set(KEYS.plan_mark("plan-1"), "S")
    assert await backend.store.booking_state(SYMBOL, PLAN, [ORDER, ANOTHER]) == BookingState(
        StoredLedger("0.5", "7", "1.5", "1", "-0.5"), "3", {ORDER: "0.3|1"}, PERMIT, "S", "11", "12"
    )


async def test_a_ledger_of_a_wrong_type_refuses_the_booking_state(backend: Backend) -> None:
    backend.outside.set(KEYS.ledger(SYMBOL), "0.5")
    with pytest.raises(StoreRefusedError):
        await backend.store.booking_state(SYMBOL, PLAN, [])


async def test_other_keys_of_wrong_types_cannot_be_read(backend: Backend) -> None:
    backend.outside.set(KEYS.order_memory(SYMBOL), "x")
    backend.outside.set(KEYS.open_permits(SYMBOL), "x")
    backend.outside.hset(KEYS.plan_mark("plan-1"), {"a": "b"})
    assert await backend.store.booking_state(SYMBOL, PLAN, [ORDER]) == BookingState(
        StoredLedger(), None, {ORDER: UNREADABLE}, UNREADABLE, UNREADABLE
    )


async def test_several_states_are_read_as_each_alone(backend: Backend) -> None:
    backend.outside.hset(KEYS.ledger(SYMBOL), {"last_known_amt": "0.5", "version": "3"})
    backend.outside.hset(KEYS.order_memory(SYMBOL), {ORDER: "0.3|1", "1003": "9|9"})
    backend.outside.hset(KEYS.open_permits(SYMBOL), {"p:plan-1": PERMIT})
    backend.outside.set(KEYS.ledger("BADUSDT"), "no hash")
    wanted = [
        BookingKeys(SYMBOL, PLAN, (ORDER, ANOTHER)),
        BookingKeys(Symbol("BADUSDT"), PLAN, ()),
        BookingKeys(Symbol("ETHUSDT"), PlanId("plan-2"), ()),
        BookingKeys(SYMBOL, PlanId("plan-2"), (OrderId("1003"),)),
    ]
    states = await backend.store.booking_states(wanted)
    assert states[1] is None
    for keys_of, state in zip(wanted, states, strict=True):
        if state is not None:
            assert state == await backend.store.booking_state(*keys_of)
    assert await backend.store.booking_states([]) == []
