from __future__ import annotations

from typing import Any

import msgspec
import pytest

from brain.identifiers import OrderId
from brain.ledger.ledger import StoredLedger
from store.errors import StoreRefusedError
from store.records import BookingState, OrderWrite, ResultCommit
from store.stored_values import UNREADABLE
from tests.store.backends import KEYS, Backend, Outside, everything
from tests.store.commits import (
    ANOTHER,
    DEAD_LETTER,
    ORDER,
    PERMIT,
    PLAN,
    SYMBOL,
    book,
    booking,
    deliver_results,
    pending_ids,
)


async def test_a_booking_changes_ledger_order_memory_and_mark_and_acknowledges(leased: Backend) -> None:
    (entry_id,) = await deliver_results(leased)
    now_ms = await leased.store.redis_now_ms()
    booked_ms = await book(leased, booking(entry_id))
    assert booked_ms is not None
    assert 0 <= booked_ms - now_ms < 5_000
    assert leased.outside.hgetall(KEYS.ledger(SYMBOL)) == {
        b"last_known_amt": b"0.5", b"ledger_amt": b"0.5", b"version": b"1",
    }  # fmt: skip
    assert leased.outside.hgetall(KEYS.order_memory(SYMBOL)) == {b"1001": b"0.5|1760000000000"}
    assert leased.outside.zrange(KEYS.order_times(SYMBOL)) == [b"1001"]
    assert leased.outside.get(KEYS.plan_mark("plan-1")) == b"S"
    assert leased.outside.get(KEYS.last_result_id) == entry_id.encode()
    assert pending_ids(leased.outside, KEYS.results) == []
    for key in (KEYS.open_permits(SYMBOL), KEYS.events, KEYS.dead_results):
        assert leased.outside.kind(key) == "none"


async def test_every_key_of_a_booking_has_its_own_life(leased: Backend) -> None:
    await book(leased, booking("1-0"))
    for key, life_ms in {
        KEYS.ledger(SYMBOL): 86_400_000,
        KEYS.order_memory(SYMBOL): 604_800_000,
        KEYS.order_times(SYMBOL): 604_800_000,
        KEYS.plan_mark("plan-1"): 3_660_000,
    }.items():
        assert life_ms - 5_000 < leased.outside.pttl(key) <= life_ms
    assert leased.outside.pttl(KEYS.last_result_id) == -1


async def test_a_result_that_changes_nothing_is_only_acknowledged(leased: Backend) -> None:
    (entry_id,) = await deliver_results(leased)
    before = everything(leased.outside)
    quiet = booking(entry_id, ledger_fields=(), orders=(), mark_after="")
    assert await book(leased, quiet) is not None
    after = everything(leased.outside)
    assert {key for key in after if after[key] != before.get(key)} == {KEYS.results, KEYS.last_result_id}
    assert pending_ids(leased.outside, KEYS.results) == []


def stored_otherwise(outside: Outside, what: str) -> None:
    if what in ("last_known_amt", "long_amt", "short_amt", "version"):
        outside.hset(KEYS.ledger(SYMBOL), {what: "0"})
    elif what == "order":
        outside.hset(KEYS.order_memory(SYMBOL), {ORDER: "0.3|1"})
    elif what == "permit":
        outside.hset(KEYS.open_permits(SYMBOL), {"v": "d1-0", "p:plan-1": PERMIT})
    else:
        outside.set(KEYS.plan_mark("plan-1"), "D|BOTH|close|SELL|0")


WHAT_IT_RESTS_ON: dict[str, dict[str, Any]] = {
    "last_known_amt": {"before_amounts": ("0", None, None)},
    "long_amt": {"before_amounts": (None, "0", None)},
    "short_amt": {"before_amounts": (None, None, "0")},
    "version": {"before_version": "0"},
    "order": {"orders": (OrderWrite(ORDER, "0.3|1", "0.5|2"),)},
    "permit": {"permit_before": PERMIT},
    "mark": {"mark_before": "D|BOTH|close|SELL|0"},
}  # fmt: skip


@pytest.mark.parametrize("what", WHAT_IT_RESTS_ON)
async def test_whatever_was_read_otherwise_books_nothing(leased: Backend, what: str) -> None:
    stored_otherwise(leased.outside, what)
    before = everything(leased.outside)
    assert await book(leased, booking("1-0")) is None
    assert everything(leased.outside) == before
    assert await book(leased, booking("1-0", **WHAT_IT_RESTS_ON[what])) is not None


@pytest.mark.parametrize("what", WHAT_IT_RESTS_ON)
async def test_a_value_that_was_read_and_is_gone_books_nothing(leased: Backend, what: str) -> None:
    before = everything(leased.outside)
    assert await book(leased, booking("1-0", **WHAT_IT_RESTS_ON[what])) is None
    assert everything(leased.outside) == before


async def test_a_second_order_that_changed_books_neither(leased: Backend) -> None:
    leased.outside.hset(KEYS.order_memory(SYMBOL), {ANOTHER: "1|1"})
    before = everything(leased.outside)
    orders = (OrderWrite(ORDER, None, "0.5|2"), OrderWrite(ANOTHER, None, "2|2"))
    assert await book(leased, booking("1-0", orders=orders)) is None
    assert everything(leased.outside) == before


async def test_the_state_that_was_read_is_compared_even_where_it_is_unreadable(leased: Backend) -> None:
    """Otherwise reading again and booking again would go on for ever."""
    leased.outside.hset(
        KEYS.ledger(SYMBOL), {"last_known_amt": b"\xff", "long_amt": "Ⓢ", "short_amt": "1" * 300}
    )
    leased.outside.hset(KEYS.ledger(SYMBOL), {"version": b"\x00"})
    leased.outside.hset(KEYS.order_memory(SYMBOL), {ORDER: b"\xfe"})
    leased.outside.hset(KEYS.open_permits(SYMBOL), {"p:plan-1": b"\xfd"})
    leased.outside.set(KEYS.plan_mark("plan-1"), b"\xfc")
    state = await leased.store.booking_state(SYMBOL, PLAN, [ORDER])
    assert state == BookingState(
        StoredLedger(UNREADABLE, None, None, UNREADABLE, UNREADABLE),
        UNREADABLE, {ORDER: UNREADABLE}, UNREADABLE, UNREADABLE,
    )  # fmt: skip
    commit = booking(
        "1-0",
        before_amounts=(UNREADABLE, UNREADABLE, UNREADABLE),
        before_version=state.version,
        orders=(OrderWrite(ORDER, state.orders[ORDER], "0.5|2"),),
        permit_before=state.permit,
        mark_before=state.plan_mark,
    )
    assert await book(leased, commit) is not None


async def test_several_bookings_are_written_in_order_each_whole_or_not_at_all(leased: Backend) -> None:
    entry_ids = await deliver_results(leased, count=4)
    first = booking(entry_ids[0])
    rests_on_first = booking(
        entry_ids[1],
        plan_id="plan-2",
        before_amounts=("0.5", None, None),
        before_version="1",
        ledger_fields=("last_known_amt", "0.7", "ledger_amt", "0.7", "version", "2"),
        orders=(OrderWrite(ANOTHER, None, "0.2|1760000000000"),),
    )
    changed = booking(entry_ids[2], plan_id="plan-3", orders=())
    leased.outside.hset(KEYS.plan_mark("plan-4"), {"a": "b"})
    refused = booking(entry_ids[3], plan_id="plan-4")
    times = await leased.store.commit_results(leased.fence, [first, rests_on_first, changed, refused])
    assert [time is None for time in times] == [False, False, True, True]
    assert leased.outside.hgetall(KEYS.ledger(SYMBOL))[b"last_known_amt"] == b"0.7"
    assert pending_ids(leased.outside, KEYS.results) == entry_ids[2:]
    assert await leased.store.commit_results(leased.fence, []) == []


WRONG_TYPES = (
    "results", "dead_results", "events", "last_result_id",
    "ledger", "order_memory", "order_times", "open_permits", "plan_mark",
)  # fmt: skip


@pytest.mark.parametrize("name", WRONG_TYPES)
async def test_a_key_of_a_wrong_type_leaves_nothing_half_booked(leased: Backend, name: str) -> None:
    named = getattr(KEYS, name)
    key = named if isinstance(named, str) else named("plan-1" if name == "plan_mark" else SYMBOL)
    if name in ("last_result_id", "plan_mark"):
        leased.outside.hset(key, {"a": "b"})
    else:
        leased.outside.set(key, "x")
    before = everything(leased.outside)
    doomed = booking(
        "1-0", permit_after="", revoke_permit=True, dead_fields=("a", "b"), event_fields=("c", "d")
    )
    with pytest.raises(StoreRefusedError) as caught:
        await book(leased, doomed)
    assert "WRONGTYPE" in str(caught.value)
    assert key in str(caught.value)
    assert everything(leased.outside) == before


async def test_an_error_that_quotes_a_plan_id_is_not_taken_for_what_the_plan_id_says(leased: Backend) -> None:
    for plan_id in ("FENCED ", "OOM ", "NOGROUP ", "READONLY x", "UNBLOCKED no longer exists"):
        leased.outside.hset(KEYS.plan_mark(plan_id), {"a": "b"})
        with pytest.raises(StoreRefusedError):
            await book(leased, booking("1-0", plan_id=plan_id))


async def test_a_dead_letter_needs_no_comparison_and_no_keys_of_the_symbol(leased: Backend) -> None:
    await deliver_results(leased)
    leased.outside.set(KEYS.ledger(""), "of a wrong type")
    assert await book(leased, DEAD_LETTER) is not None
    ((_, letter),) = leased.outside.xrange(KEYS.dead_results)
    assert letter == {b"entry_id": b"1-0", b"error": b"no quantity"}


async def test_a_booking_may_carry_an_event(leased: Backend) -> None:
    await book(leased, booking("1-0", event_fields=("event", "LEDGER_DIVERGED")))
    ((_, event),) = leased.outside.xrange(KEYS.events)
    assert event == {b"event": b"LEDGER_DIVERGED"}


def revocation(**changes: object) -> ResultCommit:
    ended: dict[str, Any] = {"permit_before": PERMIT, "permit_after": "", "revoke_permit": True}
    return booking("5-0", ledger_fields=(), orders=(), **ended, **changes)


async def test_a_revocation_deletes_the_permit_and_ends_what_it_covered(leased: Backend) -> None:
    leased.outside.set(KEYS.permit("plan-1"), "{}")
    leased.outside.set(KEYS.permit("plan-2"), "{}")
    leased.outside.hset(KEYS.open_permits(SYMBOL), {"v": "d1-0", "p:plan-1": PERMIT, "p:plan-2": PERMIT})
    leased.outside.pexpire(KEYS.open_permits(SYMBOL), 100_000)
    assert await book(leased, revocation()) is not None
    assert leased.outside.get(KEYS.permit("plan-1")) is None
    assert leased.outside.get(KEYS.permit("plan-2")) == b"{}"
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == {b"v": b"r5-0", b"p:plan-2": PERMIT.encode()}
    assert 95_000 < leased.outside.pttl(KEYS.open_permits(SYMBOL)) <= 100_000


@pytest.mark.parametrize("consumed", [True, False])
async def test_a_revocation_without_a_permit_leaves_another_plans_permit_alone(
    leased: Backend, consumed: bool
) -> None:
    if not consumed:
        leased.outside.set(KEYS.permit("plan-1"), "{}")
    leased.outside.hset(KEYS.open_permits(SYMBOL), {"v": "d1-0", "p:plan-1": PERMIT})
    assert await book(leased, revocation(only_if_unconsumed=True)) is not None
    left = {b"v": b"d1-0", b"p:plan-1": PERMIT.encode()} if consumed else {b"v": b"r5-0"}
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == left
    assert leased.outside.get(KEYS.permit("plan-1")) is None


@pytest.mark.parametrize("before", [None, "D|BOTH|close|SELL|0"])
async def test_a_result_that_is_not_booked_marks_its_plan_only_where_there_is_no_mark(
    leased: Backend, before: str | None
) -> None:
    if before is not None:
        leased.outside.set(KEYS.plan_mark("plan-1"), before)
    not_booked = booking("5-0", compare=False, ledger_fields=(), orders=(), mark_before=None, mark_after="S")
    assert await book(leased, not_booked) is not None
    assert leased.outside.get(KEYS.plan_mark("plan-1")) == (before or "S").encode()


async def test_ending_the_last_open_permit_leaves_no_key_that_lives_for_ever(leased: Backend) -> None:
    leased.outside.hset(KEYS.open_permits(SYMBOL), {"p:plan-1": PERMIT})
    leased.outside.pexpire(KEYS.open_permits(SYMBOL), 100_000)
    await book(leased, booking("5-0", permit_before=PERMIT, permit_after=""))
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == {b"v": b"r5-0"}
    assert leased.outside.pttl(KEYS.open_permits(SYMBOL)) > 0


async def test_a_partial_fill_shrinks_the_open_permit_and_leaves_the_permit(leased: Backend) -> None:
    leased.outside.set(KEYS.permit("plan-1"), "{}")
    leased.outside.hset(KEYS.open_permits(SYMBOL), {"v": "d1-0", "p:plan-1": PERMIT})
    left = "BOTH|close|SELL|0.008|1760000090000"
    await book(leased, booking("5-0", permit_before=PERMIT, permit_after=left))
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == {b"v": b"r5-0", b"p:plan-1": left.encode()}
    assert leased.outside.get(KEYS.permit("plan-1")) == b"{}"


async def last_after(leased: Backend, entry_id: str) -> str:
    """Acknowledge a result alone; return the last that was booked then."""
    await book(leased, booking(entry_id, compare=False, ledger_fields=(), orders=(), mark_after=""))
    return (leased.outside.get(KEYS.last_result_id) or b"").decode()


async def test_the_last_booked_result_only_moves_on(leased: Backend) -> None:
    booked = ("5-0", "4-9", "5-2", "5-1", "10-0", "9-99", "1760000000000-1", "1760000000000-0")
    assert [await last_after(leased, entry_id) for entry_id in booked] == [
        "5-0", "5-0", "5-2", "5-2", "10-0", "10-0", "1760000000000-1", "1760000000000-1",
    ]  # fmt: skip


async def test_the_last_booked_result_passes_none_that_is_still_pending(leased: Backend) -> None:
    await leased.store.results.create(lost=False)
    first, second, third = [leased.outside.xadd(KEYS.results, {"f": "v"}) for _ in range(3)]
    await leased.store.results.read_new(count=10, block_ms=0)
    assert [await last_after(leased, each) for each in (first, third, second)] == [first, first, second]


async def test_a_last_booked_result_that_cannot_be_read_is_replaced(leased: Backend) -> None:
    leased.outside.set(KEYS.last_result_id, b"\xffyesterday-5")
    assert await last_after(leased, "5-0") == "5-0"


NAMED = (
    OrderWrite(OrderId("77"), None, "0|1760000000000"),
    OrderWrite(OrderId("78"), None, "0|1760000000000"),
)


async def test_a_dead_letter_remembers_orders_that_are_not_known(leased: Backend) -> None:
    await deliver_results(leased)
    leased.outside.hset(KEYS.order_memory(SYMBOL), {"77": "0.5|1"})
    leased.outside.zadd(KEYS.order_times(SYMBOL), {"77": float(await leased.store.redis_now_ms())})
    letter = msgspec.structs.replace(DEAD_LETTER, symbol=SYMBOL, named=NAMED)
    assert await book(leased, letter) is not None
    memory = leased.outside.hgetall(KEYS.order_memory(SYMBOL))
    assert memory == {b"77": b"0.5|1", b"78": b"0|1760000000000"}
    assert set(leased.outside.zrange(KEYS.order_times(SYMBOL))) == {b"77", b"78"}
    assert 604_000_000 < leased.outside.pttl(KEYS.order_memory(SYMBOL)) <= 604_800_000


@pytest.mark.parametrize("name", ["order_memory", "order_times", "ledger", "open_permits"])
async def test_a_dead_letter_is_written_whatever_types_the_keys_of_its_symbol_have(
    leased: Backend, name: str
) -> None:
    await deliver_results(leased)
    leased.outside.set(getattr(KEYS, name)(SYMBOL), "of a wrong type")
    letter = msgspec.structs.replace(DEAD_LETTER, symbol=SYMBOL, named=NAMED)
    assert await book(leased, letter) is not None
    assert leased.outside.xlen(KEYS.dead_results) == 1
    remembered = 0 if name.startswith("order") else 2
    if name != "order_memory":
        assert len(leased.outside.hgetall(KEYS.order_memory(SYMBOL))) == remembered
