"""Batches of bookings: one step of Redis, in which each result is whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from brain.identifiers import OrderId, PlanId, Symbol
from store.errors import StoreUnavailableError
from store.records import OrderWrite, ResultCommit
from tests.store.backends import KEYS, Backend, RedisBackend, everything
from tests.store.commits import ORDER, PERMIT, PLAN, SYMBOL, booking, deliver_results, pending_ids, prepared

ETH = Symbol("ETHUSDT")
WEEK_MS = 604_800_000
UNKNOWN = "9760000090000|1760000000000|desk-1|17|BTCUSDT"


def of_plan(number: int, entry_id: str, **changes: object) -> ResultCommit:
    """Return the booking of an order and a plan of their own, on a ledger of its own."""
    own: dict[str, object] = {
        "plan_id": PlanId(f"plan-{number}"),
        "symbol": Symbol(f"S{number}USDT"),
        "orders": (OrderWrite(OrderId(f"{number}"), None, "0.5|1760000000000"),),
    }
    return booking(entry_id, **(own | changes))


def chained(entry_ids: Sequence[str]) -> list[ResultCommit]:
    """Return bookings of one order's growth, each resting on what the one before leaves."""
    return [
        booking(
            entry_id,
            before_amounts=(f"{n}" if n else None, None, None),
            before_version=f"{n}" if n else None,
            ledger_fields=("last_known_amt", f"{n + 1}", "version", f"{n + 1}"),
            orders=(OrderWrite(ORDER, f"{n}|1" if n else None, f"{n + 1}|1"),),
            mark_before="S" if n else None,
            mark_after="" if n else "S",
        )
        for n, entry_id in enumerate(entry_ids)
    ]


async def booked(backend: Backend, commits: list[ResultCommit]) -> list[bool]:
    return [time is not None for time in await backend.store.commit_results(backend.fence, commits)]


async def test_more_results_than_a_script_takes_are_booked_each_on_the_one_before(leased: Backend) -> None:
    entry_ids = await deliver_results(leased, count=150)
    assert await booked(leased, chained(entry_ids)) == [True] * 150
    assert leased.outside.hgetall(KEYS.ledger(SYMBOL)) == {b"last_known_amt": b"150", b"version": b"150"}
    assert leased.outside.hgetall(KEYS.order_memory(SYMBOL)) == {ORDER.encode(): b"150|1"}
    assert leased.outside.get(KEYS.last_result_id) == entry_ids[-1].encode()
    assert pending_ids(leased.outside, KEYS.results) == []


async def test_one_that_was_read_otherwise_takes_those_that_rest_on_it_along_and_no_others(
    leased: Backend,
) -> None:
    entry_ids = await deliver_results(leased, count=6)
    first, changed, rests_on_it = chained(entry_ids[:3])
    leased.outside.hset(KEYS.order_memory(SYMBOL), {ORDER: "7|1"})
    others = [of_plan(n, entry_id) for n, entry_id in enumerate(entry_ids[3:])]
    assert await booked(leased, [first, changed, rests_on_it, *others]) == [False] * 3 + [True] * 3
    assert leased.outside.kind(KEYS.ledger(SYMBOL)) == "none"
    assert pending_ids(leased.outside, KEYS.results) == entry_ids[:3]


@pytest.mark.parametrize("left", range(4))
async def test_the_last_booked_result_passes_none_that_a_batch_leaves_pending(
    leased: Backend, left: int
) -> None:
    entry_ids = await deliver_results(leased, count=4)
    begun = leased.outside.get(KEYS.last_result_id)
    commits = [of_plan(n, entry_id) for n, entry_id in enumerate(entry_ids)]
    leased.outside.set(KEYS.plan_mark(f"plan-{left}"), "D|BOTH|none||0")
    assert await booked(leased, commits) == [n != left for n in range(4)]
    last = entry_ids[left - 1].encode() if left else begun
    assert leased.outside.get(KEYS.last_result_id) == last
    assert pending_ids(leased.outside, KEYS.results) == [entry_ids[left]]


@pytest.mark.parametrize("name", ["ledger", "order_memory", "order_times", "open_permits"])
async def test_a_key_of_a_wrong_type_refuses_the_results_of_its_symbol_alone(
    leased: Backend, name: str
) -> None:
    entry_ids = await deliver_results(leased, count=4)
    leased.outside.set(getattr(KEYS, name)("S1USDT"), "x")
    commits = [of_plan(n % 2, entry_id) for n, entry_id in enumerate(entry_ids[:2])]
    commits += [of_plan(2, entry_ids[2]), of_plan(3, entry_ids[3], symbol=Symbol("S1USDT"))]
    assert await booked(leased, commits) == [True, False, True, False]
    assert leased.outside.kind(KEYS.plan_mark("plan-1")) == "none"
    assert pending_ids(leased.outside, KEYS.results) == [entry_ids[1], entry_ids[3]]


@pytest.mark.parametrize("name", ["results", "dead_results", "events", "last_result_id"])
async def test_a_key_of_a_wrong_type_that_all_need_refuses_the_batch(leased: Backend, name: str) -> None:
    key = getattr(KEYS, name)
    if name == "last_result_id":
        leased.outside.hset(key, {"a": "b"})
    else:
        leased.outside.set(key, "x")
    before = everything(leased.outside)
    assert await booked(leased, [of_plan(1, "1-0"), of_plan(2, "2-0")]) == [False, False]
    assert everything(leased.outside) == before


async def test_an_open_permit_shrinks_and_ends_within_a_batch(leased: Backend) -> None:
    leased.outside.hset(KEYS.open_permits(SYMBOL), {"v": "d1-0", f"p:{PLAN}": PERMIT})
    part = "BOTH|close|SELL|0.008|1760000090000"
    first, second = chained(["5-0", "6-0"])
    commits = [
        booking("5-0", ledger_fields=first.ledger_fields, permit_before=PERMIT, permit_after=part),
        booking(
            "6-0", before_amounts=second.before_amounts, before_version=second.before_version, orders=(),
            permit_before=part, permit_after="", mark_before="S", mark_after="",
        ),
    ]  # fmt: skip
    assert await booked(leased, commits) == [True, True]
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == {b"v": b"r6-0"}


async def test_an_unknown_outcome_that_begins_in_a_batch_ends_in_it(leased: Backend) -> None:
    quiet: dict[str, object] = {"ledger_fields": (), "orders": ()}
    begins = of_plan(1, "5-0", unknown_after=UNKNOWN, **quiet)
    stays = of_plan(2, "6-0", unknown_after=UNKNOWN, **quiet)
    ends = of_plan(1, "7-0", unknown_after="", mark_before="S", **quiet)
    assert await booked(leased, [begins, stays, ends]) == [True] * 3
    assert leased.outside.hgetall(KEYS.unknown_outcomes) == {b"plan-2": UNKNOWN.encode()}


async def test_a_batch_forgets_orders_of_each_of_its_symbols(leased: Backend) -> None:
    now_ms = await leased.store.redis_now_ms()
    for symbol in ("S1USDT", "S2USDT"):
        leased.outside.hset(KEYS.order_memory(symbol), {"old": "1|1"})
        leased.outside.zadd(KEYS.order_times(symbol), {"old": float(now_ms - WEEK_MS - 1_000)})
    assert await booked(leased, [of_plan(1, "5-0"), of_plan(2, "6-0")]) == [True, True]
    for number in (1, 2):
        assert leased.outside.zrange(KEYS.order_times(f"S{number}USDT")) == [f"{number}".encode()]
        memory = leased.outside.hgetall(KEYS.order_memory(f"S{number}USDT"))
        assert memory == {f"{number}".encode(): b"0.5|1760000000000"}


@pytest.mark.parametrize("first", ["moves the ledger", "frees what it can"])
async def test_a_full_redis_books_none_of_a_batch(real: RedisBackend, first: str) -> None:
    fence = await prepared(real)
    commits = [of_plan(n, f"{n}-0") for n in range(1, 5)]
    if first == "frees what it can":
        real.outside.set(KEYS.permit("plan-1"), "{}")
        commits[0] = of_plan(1, "1-0", ledger_fields=(), orders=(), revoke_permit=True, unknown_after="")
    before = everything(real.outside)
    real.plain.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(StoreUnavailableError):
        await real.store.commit_results(fence, commits)
    assert everything(real.outside) == before
