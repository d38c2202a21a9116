from __future__ import annotations

from brain.identifiers import OrderId
from store.records import OrderWrite
from tests.store.backends import KEYS, Backend, Outside
from tests.store.commits import SYMBOL, book, booking

WEEK_MS = 604_800_000


async def remember(leased: Backend, order_id: str) -> None:
    orders = (OrderWrite(OrderId(order_id), None, "1|1"),)
    commit = booking("1-0", ledger_fields=(), mark_after="", orders=orders)
    assert await book(leased, commit) is not None


def fill_memory(outside: Outside, scores: dict[str, float]) -> None:
    outside.hset(KEYS.order_memory(SYMBOL), dict.fromkeys(scores, "1|1"))
    outside.zadd(KEYS.order_times(SYMBOL), scores)


async def test_orders_booked_more_than_a_week_ago_are_forgotten_a_hundred_at_a_time(leased: Backend) -> None:
    now_ms = await leased.store.redis_now_ms()
    old = {f"old-{n:03}": float(now_ms - WEEK_MS - 1_000 + n) for n in range(150)}
    recent = {"recent": float(now_ms - WEEK_MS + 60_000)}
    fill_memory(leased.outside, old | recent)
    await remember(leased, "new-1")
    kept = set(leased.outside.hgetall(KEYS.order_memory(SYMBOL)))
    assert kept == {b"recent", b"new-1"} | {f"old-{n:03}".encode() for n in range(100, 150)}
    await remember(leased, "new-2")
    assert set(leased.outside.hgetall(KEYS.order_memory(SYMBOL))) == {b"recent", b"new-1", b"new-2"}
    assert leased.outside.zrange(KEYS.order_times(SYMBOL)) == [b"recent", b"new-1", b"new-2"]


async def test_no_more_than_ten_thousand_orders_of_a_symbol_are_remembered(leased: Backend) -> None:
    now_ms = await leased.store.redis_now_ms()
    fill_memory(leased.outside, {f"{n:05}": float(now_ms - 20_000 + n) for n in range(10_000)})
    await remember(leased, "new-1")
    orders = leased.outside.hgetall(KEYS.order_memory(SYMBOL))
    assert len(orders) == 10_000
    assert b"00000" not in orders
    assert b"new-1" in orders
    assert set(leased.outside.zrange(KEYS.order_times(SYMBOL))) == set(orders)


async def test_booking_an_order_again_makes_it_the_newest(leased: Backend) -> None:
    now_ms = await leased.store.redis_now_ms()
    fill_memory(leased.outside, {"a": float(now_ms - 2_000), "b": float(now_ms - 1_000)})
    again = booking("1-0", ledger_fields=(), mark_after="", orders=(OrderWrite(OrderId("a"), "1|1", "2|2"),))
    await book(leased, again)
    assert leased.outside.zrange(KEYS.order_times(SYMBOL)) == [b"b", b"a"]
