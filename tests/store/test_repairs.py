"""Repairs of the ledger: whole or not at all, and only of what was read."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from brain.identifiers import OrderId
from store.errors import WrongTypeError
from store.reconcile_records import CaseChange, LedgerRepair
from store.records import OrderWrite
from tests.store.backends import KEYS, Backend, Outside, everything, fill_stream
from tests.store.commits import BOOKING
from tests.store.reconciled import (
    BOOKED,
    DRIFTED,
    ENGINE,
    HELD_ON,
    NEXT_SIG,
    RELEASE,
    RENEWAL,
    REPAIR,
    SIG,
    prepare_case,
    repair,
    write_hold,
    write_ledger,
    write_record,
)

WEEK_MS = 604_800_000
LEDGER_KEY, MEMORY_KEY, TIMES_KEY = (
    KEYS.ledger(DRIFTED), KEYS.order_memory(DRIFTED), KEYS.order_times(DRIFTED)
)  # fmt: skip
KEYS_OF_A_HOLD = (ENGINE.hold(DRIFTED), ENGINE.hold_sig(DRIFTED), ENGINE.hold_reason(DRIFTED))
SECOND = OrderWrite(OrderId("9002"), "0.1|1", "0.3|1760000000000")


@pytest.fixture
def drifted(leased: Backend) -> Backend:
    """A case under a hold of the engine."""
    prepare_case(leased.outside)
    return leased


async def repaired(backend: Backend, change: LedgerRepair = REPAIR) -> bool:
    return await backend.store.repair_ledger(backend.fence, change)


async def test_a_repair_books_the_fills_ends_the_hold_and_tells_of_it(drifted: Backend) -> None:
    now_ms = await drifted.store.redis_now_ms()
    assert await repaired(drifted)
    out = drifted.outside
    ledger = out.hgetall(LEDGER_KEY)
    assert (ledger[b"last_known_amt"], ledger[b"version"], ledger[b"source"]) == (b"0.7", b"4", b"reconciled")
    assert ledger[b"last_order_id"] == b"9000"
    assert 86_000_000 < out.pttl(LEDGER_KEY) <= 86_400_000
    assert out.hgetall(MEMORY_KEY) == {BOOKED.encode(): b"0.2|1760000000000"}
    assert out.zrange(TIMES_KEY) == [BOOKED.encode()]
    for key in (MEMORY_KEY, TIMES_KEY):
        assert WEEK_MS - 60_000 < out.pttl(key) <= WEEK_MS
    assert out.hgetall(ENGINE.state(DRIFTED)) == {b"status": b"REPAIRED"}
    assert 86_000_000 < out.pttl(ENGINE.state(DRIFTED)) <= 86_400_000
    (event,) = out.xrange(KEYS.events)
    assert event[1][b"event"] == b"AUTO_REPAIR"
    assert int(event[0].partition("-")[0]) >= now_ms
    assert [out.get(key) for key in KEYS_OF_A_HOLD] == [None, None, None]


async def test_a_repair_moves_nothing_else(drifted: Backend) -> None:
    out = drifted.outside
    out.hset(KEYS.open_permits(DRIFTED), {"v": "d1-0", "p:plan-9": "BOTH|close|SELL|1|1760000000000"})
    out.set(KEYS.last_result_id, "5-0")
    before = everything(out)
    assert await repaired(drifted)
    after = everything(out)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {
        LEDGER_KEY, MEMORY_KEY, TIMES_KEY, ENGINE.state(DRIFTED), KEYS.events, *KEYS_OF_A_HOLD
    }  # fmt: skip


async def test_a_repair_writes_ledger_and_memory_as_a_booking_does(drifted: Backend) -> None:
    booking = msgspec.structs.replace(
        BOOKING, symbol=DRIFTED, before_amounts=("0.5", None, None), before_version="3",
        ledger_fields=tuple(REPAIR.ledger_fields), orders=tuple(REPAIR.orders), mark_after="",
        acknowledge=False,
    )  # fmt: skip
    kept: list[object] = []
    for books in (True, False):
        prepare_case(drifted.outside)
        if books:
            assert await drifted.store.commit_result(drifted.fence, booking)
        else:
            assert await repaired(drifted)
        keys = (LEDGER_KEY, MEMORY_KEY, TIMES_KEY)
        stored = everything(drifted.outside)
        kept.append([stored[key] for key in keys])
        kept.append([round(drifted.outside.pttl(key), -5) for key in keys])
        for key in keys:
            drifted.outside.delete(key)
    assert kept[:2] == kept[2:]


async def test_a_repair_is_made_once(drifted: Backend) -> None:
    assert await repaired(drifted)
    before = everything(drifted.outside)
    assert not await repaired(drifted)
    assert everything(drifted.outside) == before
    write_hold(drifted.outside, DRIFTED, SIG)
    before = everything(drifted.outside)
    assert not await repaired(drifted)
    assert everything(drifted.outside) == before


async def test_a_hold_stays_under_its_next_name_while_a_foreign_part_remains(drifted: Backend) -> None:
    write_hold(drifted.outside, DRIFTED, SIG, ttl_ms=100_000)
    assert await repaired(drifted, repair(hold=HELD_ON))
    out = drifted.outside
    assert [out.get(key) for key in KEYS_OF_A_HOLD] == [b"1", NEXT_SIG.encode(), b"side_mismatch"]
    assert all(HELD_ON.ttl_ms - 10_000 < out.pttl(key) <= HELD_ON.ttl_ms for key in KEYS_OF_A_HOLD)
    assert await drifted.store.own_holds([DRIFTED]) == [DRIFTED]
    assert out.hgetall(LEDGER_KEY)[b"last_known_amt"] == b"0.7"


async def test_a_hold_of_the_engine_that_lost_its_end_has_one_again(drifted: Backend) -> None:
    write_hold(drifted.outside, DRIFTED, SIG, ttl_ms=None)
    assert await repaired(drifted, repair(hold=HELD_ON))
    assert [drifted.outside.get(key) for key in KEYS_OF_A_HOLD] == [b"1", NEXT_SIG.encode(), b"side_mismatch"]
    assert await drifted.store.own_holds([DRIFTED]) == [DRIFTED]
    assert all(0 < drifted.outside.pttl(key) <= HELD_ON.ttl_ms for key in KEYS_OF_A_HOLD)
    renewal = msgspec.structs.replace(RENEWAL, before=NEXT_SIG, sig=NEXT_SIG)
    change = CaseChange(symbol=DRIFTED, hold=renewal)
    assert await drifted.store.change_case(drifted.fence, change)
    assert all(0 < drifted.outside.pttl(key) <= renewal.ttl_ms for key in KEYS_OF_A_HOLD)


async def test_all_events_of_a_repair_are_written_with_it(drifted: Backend) -> None:
    orphan = ("event", "ORPHAN_ORDER", "symbol", DRIFTED)
    assert await repaired(drifted, repair(events=(*REPAIR.events, orphan)))
    events = [fields[b"event"] for _, fields in drifted.outside.xrange(KEYS.events)]
    assert events == [b"AUTO_REPAIR", b"ORPHAN_ORDER"]
    assert not await repaired(drifted, repair(events=(*REPAIR.events, orphan)))
    assert drifted.outside.xlen(KEYS.events) == 2


async def test_several_orders_are_booked_at_once_and_those_that_move_no_ledger_alone(
    drifted: Backend,
) -> None:
    drifted.outside.hset(MEMORY_KEY, {SECOND.order_id: "0.1|1", "8000": "5|1"})
    orders = (*REPAIR.orders, SECOND)
    assert await repaired(drifted, repair(orders=orders, ledger_fields=(), hold=HELD_ON))
    assert drifted.outside.hgetall(LEDGER_KEY)[b"last_known_amt"] == b"0.5"
    assert drifted.outside.hgetall(MEMORY_KEY) == {
        b"8000": b"5|1", b"9001": b"0.2|1760000000000", b"9002": b"0.3|1760000000000",
    }  # fmt: skip


def _corrected(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"last_known_amt": "0.7"})


def _of_equal_value(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"last_known_amt": "0.50"})


def _unreadable(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"last_known_amt": b"\xff"})


def _booked(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"version": "4"})


def _without_version(outside: Outside) -> None:
    outside.hdel(LEDGER_KEY, "version")


def _ordered(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"last_order_id": "9001"})


def _timed(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"last_order_time_epoch": "1760000001"})


def _long_leg(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"long_amt": "0.5"})


def _short_leg(outside: Outside) -> None:
    outside.hset(LEDGER_KEY, {"short_amt": "0"})


def _gone(outside: Outside) -> None:
    outside.delete(LEDGER_KEY)


def _remembered(outside: Outside) -> None:
    outside.hset(MEMORY_KEY, {BOOKED: "0.2|1"})


def _no_hold(outside: Outside) -> None:
    outside.delete(ENGINE.hold(DRIFTED))


def _no_owner(outside: Outside) -> None:
    outside.delete(ENGINE.hold_sig(DRIFTED))


def _hold_of_another_drift(outside: Outside) -> None:
    write_hold(outside, DRIFTED, NEXT_SIG)


def _hold_of_an_operator(outside: Outside) -> None:
    write_hold(outside, DRIFTED, "operator:ann", ttl_ms=None)


def _hold_of_an_order_that_has_ended(outside: Outside) -> None:
    write_hold(outside, DRIFTED, write_record(outside, "plan-7", "final"))


def _hold_set_over(outside: Outside) -> None:
    outside.set(ENGINE.hold(DRIFTED), "1")


CHANGED: tuple[Callable[[Outside], None], ...] = (
    _corrected, _of_equal_value, _unreadable, _booked, _without_version, _ordered, _timed, _long_leg,
    _short_leg, _gone, _remembered, _no_hold, _no_owner, _hold_of_another_drift, _hold_of_an_operator,
    _hold_of_an_order_that_has_ended, _hold_set_over,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGED)
async def test_a_change_in_between_lets_nothing_be_repaired(
    drifted: Backend, change: Callable[[Outside], None]
) -> None:
    change(drifted.outside)
    before = everything(drifted.outside)
    assert not await repaired(drifted)
    assert everything(drifted.outside) == before


async def test_a_memory_that_has_gone_lets_nothing_be_repaired(drifted: Backend) -> None:
    before = everything(drifted.outside)
    assert not await repaired(drifted, repair(orders=(*REPAIR.orders, SECOND)))
    assert everything(drifted.outside) == before


OWN_KEYS = (LEDGER_KEY, MEMORY_KEY, TIMES_KEY, ENGINE.state(DRIFTED), KEYS.events)


@pytest.mark.parametrize("key", OWN_KEYS)
async def test_a_key_of_a_wrong_type_is_named_and_nothing_is_written(drifted: Backend, key: str) -> None:
    drifted.outside.delete(key)
    drifted.outside.set(key, "1")
    before = everything(drifted.outside)
    with pytest.raises(WrongTypeError, match=f"{key} is a string, not a "):
        await repaired(drifted)
    assert everything(drifted.outside) == before


async def test_a_symbol_of_a_wrong_type_stops_no_other(drifted: Backend) -> None:
    drifted.outside.set(KEYS.ledger("ETHUSDT"), "1")
    assert await repaired(drifted)


async def test_orders_of_more_than_a_week_ago_are_forgotten_a_hundred_at_a_time(drifted: Backend) -> None:
    now_ms = await drifted.store.redis_now_ms()
    old = {f"old-{n:03}": float(now_ms - WEEK_MS - 1_000 + n) for n in range(150)}
    drifted.outside.hset(MEMORY_KEY, dict.fromkeys(old, "1|1"))
    drifted.outside.zadd(TIMES_KEY, old)
    assert await repaired(drifted)
    kept = set(drifted.outside.hgetall(MEMORY_KEY))
    assert kept == {BOOKED.encode()} | {f"old-{n:03}".encode() for n in range(100, 150)}
    assert set(drifted.outside.zrange(TIMES_KEY)) == kept


async def test_no_more_than_ten_thousand_orders_are_remembered(drifted: Backend) -> None:
    now_ms = await drifted.store.redis_now_ms()
    many = {f"{n:05}": float(now_ms - 20_000 + n) for n in range(10_000)}
    drifted.outside.hset(MEMORY_KEY, dict.fromkeys(many, "1|1"))
    drifted.outside.zadd(TIMES_KEY, many)
    assert await repaired(drifted)
    orders = drifted.outside.hgetall(MEMORY_KEY)
    assert len(orders) == 10_000
    assert BOOKED.encode() in orders
    assert b"00000" not in orders
    assert set(drifted.outside.zrange(TIMES_KEY)) == set(orders)


async def test_the_events_stay_within_their_length(drifted: Backend) -> None:
    fill_stream(drifted.outside, KEYS.events, 10_350)
    assert await repaired(drifted)
    assert 10_000 <= drifted.outside.xlen(KEYS.events) <= 10_100


@pytest.mark.parametrize(
    "change",
    [
        repair(hold=msgspec.structs.replace(RELEASE, before="exec:p33-1")),
        repair(hold=msgspec.structs.replace(HELD_ON, sig="operator:ann")),
        repair(hold=msgspec.structs.replace(HELD_ON, ttl_ms=0)),
        repair(hold=msgspec.structs.replace(RELEASE, before=None)),
    ],
)
async def test_no_repair_is_tried_under_a_hold_that_is_not_the_engines(
    drifted: Backend, change: LedgerRepair
) -> None:
    write_ledger(drifted.outside)
    before = everything(drifted.outside)
    with pytest.raises(ValueError, match="a hold of the engine"):
        await repaired(drifted, change)
    assert everything(drifted.outside) == before
