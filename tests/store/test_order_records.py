"""Records of orders as they are stored: read whole, or named with what cannot be read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.execution.orders import OrderStatus
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import ClientOrderId, EntryId, OrderId, PlanId, Symbol
from brain.numbers import plain
from brain.positions.position import Leg
from store.errors import StoreRefusedError, UnreadableOrderError, unless_refused
from store.execution_records import OrderProgress
from store.execution_values import decode_record, encode_record
from store.memory.keyspace import paired
from tests.store.backends import KEYS, Backend, everything
from tests.store.executions import (
    CLIENT,
    EVENT,
    EXECUTOR,
    ORPHAN,
    PLAN,
    RECORD,
    begun,
    permit,
    record,
    refusal,
)

QUANTITIES = st.decimals(0, 10**12, places=8, allow_nan=False).map(lambda number: Decimal(plain(number)))
WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
RECORDS = st.builds(
    OrderRecord,
    plan_id=st.just(PLAN),
    phase=st.sampled_from(OrderPhase),
    symbol=st.sampled_from([Symbol("BTCUSDT"), Symbol("币安人生USDT")]),
    side=st.sampled_from(["BUY", "SELL"]),
    leg=st.sampled_from(Leg),
    kind=st.sampled_from(["", "open", "add", "close", "none"]),
    quantity=QUANTITIES,
    reduce_only=st.booleans(),
    client_order_id=st.from_regex(r"[.A-Z:/a-z0-9_-]{1,36}", fullmatch=True).map(ClientOrderId),
    timestamp_ms=st.integers(0, 10**15 - 1),
    recv_window_ms=st.integers(0, 60_000),
    decision=WORDS,
    action=WORDS,
    source=WORDS,
    instance=WORDS,
    stream=st.sampled_from([EXECUTOR.plans.key, EXECUTOR.manual_plans.key]),
    entry_id=st.just(EntryId("1760000000000-3")),
    order_id=st.sampled_from([None, OrderId("81234")]),
    status=st.sampled_from(["", *OrderStatus]),
    cumulative=QUANTITIES,
    average_price=st.none() | QUANTITIES,
    published_cumulative=st.none() | QUANTITIES,
    error=WORDS,
    version=st.integers(1, 10**9),
).map(lambda made: msgspec.structs.replace(made, side="" if made.kind == "none" else made.side))


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(written: OrderRecord) -> None:
    assert decode_record(EXECUTOR, PLAN, paired(encode_record(written))) == written


@given(RECORDS, st.sampled_from(["", "none"]))
def test_a_record_of_no_kind_may_have_no_side(written: OrderRecord, kind: str) -> None:
    sideless = msgspec.structs.replace(written, side="", kind=kind)
    assert decode_record(EXECUTOR, PLAN, paired(encode_record(sideless))) == sideless


@given(RECORDS, st.data())
def test_a_record_with_any_bytes_in_any_field_is_read_as_it_stands_or_not_at_all(
    written: OrderRecord, data: st.DataObject
) -> None:
    stored = paired(encode_record(written))
    name = data.draw(st.sampled_from(sorted(stored)))
    junk = data.draw(st.none() | st.binary(max_size=30))
    if junk is None:
        del stored[name]
    else:
        stored[name] = junk
    read = unless_refused(decode_record, EXECUTOR, PLAN, stored)
    if read is None or not read.client_order_id:
        return
    # What was read is what is stored, or a number in another writing.
    again = paired(encode_record(read))
    assert decode_record(EXECUTOR, PLAN, again) == read
    assert {key for key in stored if again[key] != stored[key]} <= {
        b"quantity", b"cumulative", b"avg_price", b"published_cumulative", b"timestamp_ms", b"recv_window_ms",
        b"version",
    }  # fmt: skip


BROKEN: dict[str, Any] = {
    "state": "done",
    "symbol": "BTC USDT",
    "side": "LONG",
    "position_side": "both",
    "kind": "flip",
    "quantity": "-1",
    "reduce_only": "True",
    "client_order_id": "p33-ü",
    "timestamp_ms": "soon",
    "recv_window_ms": "3 s",
    "order_id": "0",
    "status": "DONE",
    "cumulative": "NaN",
    "avg_price": "-0.1",
    "published_cumulative": "1e99",
    "error": b"\xff",
    "stream": "q:stream:another",
    "entry_id": "now",
    "version": "",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_open_record_that_cannot_be_read_is_named_with_its_field(leased: Backend, name: str) -> None:
    permit(leased)
    await begun(leased)
    await begun(leased, record=record(plan_id=PlanId("plan-2")), permits=())
    leased.outside.hset(EXECUTOR.order(PLAN), {name: BROKEN[name]})
    found = await leased.store.open_orders()
    assert [each.plan_id for each in found.records] == ["plan-2"]
    ((plan_id, why, symbol),) = found.unreadable
    assert symbol == (None if name == "symbol" else RECORD.symbol)
    assert plan_id == PLAN
    assert why.startswith(f"record of plan-1: {name} is ")
    with pytest.raises(UnreadableOrderError, match=name):
        await leased.store.order_record(PLAN)


async def test_an_open_plan_without_a_record_is_named(leased: Backend) -> None:
    leased.outside.zadd(EXECUTOR.open, {"plan-7": 1, "plan-8": 2})
    leased.outside.set(EXECUTOR.order("plan-8"), "of a wrong type")
    found = await leased.store.open_orders()
    assert found.records == []
    assert [each.plan_id for each in found.unreadable] == ["plan-7", "plan-8"]
    assert found.unreadable[0][1] == "its record is gone"
    assert "WRONGTYPE" in found.unreadable[1][1]


async def test_a_set_of_open_orders_of_a_wrong_type_is_refused(leased: Backend) -> None:
    leased.outside.set(EXECUTOR.open, "junk")
    with pytest.raises(StoreRefusedError):
        await leased.store.open_orders()


async def test_a_record_that_ended_between_is_not_open(leased: Backend) -> None:
    await leased.store.refuse_plan(leased.fence, refusal())
    leased.outside.zadd(EXECUTOR.open, {PLAN: 1})
    assert await leased.store.open_orders() == ([], [])


async def test_there_is_no_record_of_a_plan_that_was_never_begun(leased: Backend) -> None:
    assert await leased.store.order_record(PLAN) is None
    assert await leased.store.plan_of(CLIENT) is None


async def test_an_order_without_a_record_becomes_an_orphan_with_an_event_once(leased: Backend) -> None:
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None) == "recorded"
    assert await leased.store.order_record(ORPHAN.plan_id) == ORPHAN
    assert await leased.store.plan_of(CLIENT) == ORPHAN.plan_id
    assert await leased.store.open_orders() == ([], [])
    ((_, event),) = leased.outside.xrange(KEYS.events)
    assert event == {b"event": b"ORPHAN_ORDER", b"symbol": b"BTCUSDT"}
    before = everything(leased.outside)
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None) == "known"
    assert everything(leased.outside) == before


async def test_an_orphan_that_is_booked_already_has_no_event(leased: Backend) -> None:
    assert await leased.store.record_orphan(leased.fence, ORPHAN, (), None) == "recorded"
    assert await leased.store.order_record(ORPHAN.plan_id) == ORPHAN
    assert leased.outside.xlen(KEYS.events) == 0


async def test_the_growth_of_an_orphan_is_written_and_opens_nothing(leased: Backend) -> None:
    await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None)
    grown = msgspec.structs.replace(ORPHAN, cumulative=Decimal("0.5"), version=2)
    step = OrderProgress(record=grown, result=(), cooldown_ms=None)
    assert await leased.store.record_progress(leased.fence, step)
    assert await leased.store.order_record(ORPHAN.plan_id) == grown
    assert leased.outside.kind(EXECUTOR.open) == "none"


async def test_an_order_with_a_record_is_no_orphan(leased: Backend) -> None:
    permit(leased)
    await begun(leased)
    before = everything(leased.outside)
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None) == "known"
    assert everything(leased.outside) == before


async def test_an_order_whose_record_was_lost_becomes_an_orphan(leased: Backend) -> None:
    permit(leased)
    await begun(leased)
    leased.outside.delete(EXECUTOR.order(PLAN))
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None) == "recorded"
    assert await leased.store.plan_of(CLIENT) == ORPHAN.plan_id


@pytest.mark.parametrize("key", [KEYS.events, EXECUTOR.plan_of(CLIENT)])
async def test_a_key_of_a_wrong_type_leaves_no_half_an_orphan(leased: Backend, key: str) -> None:
    if key == EXECUTOR.plan_of(CLIENT):
        leased.outside.hset(key, {"a": "b"})
    else:
        leased.outside.set(key, "junk")
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError):
        await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None)
    assert everything(leased.outside) == before


def test_the_first_record_of_the_examples_is_read_back() -> None:
    assert decode_record(EXECUTOR, PLAN, paired(encode_record(RECORD))) == RECORD
