from __future__ import annotations

from brain.identifiers import FencingToken, OrderId
from store.keys import Keys
from store.protocol import Store
from store.records import OrderWrite
from tests.store.backends import Outside
from tests.store.commits import SYMBOL, booking

WEEK_MS = 604_800_000


async def remember(store: Store, fence: FencingToken, order_id: str) -> None:
    commit = booking(
        "1-0", ledger_fields=(), mark_after="", orders=(OrderWrite(OrderId(order_id), None, "1|1"),)
    )
    assert await store.commit_result(fence, commit) is not None


def fill_memory(outside: Outside, keys: Keys, scores: dict[str, float]) -> None:
    outside.hset(keys.order_memory(SYMBOL), dict.fromkeys(scores, "1|1"))
    outside.zadd(keys.order_times(SYMBOL), scores)


async def test_orders_booked_more_than_a_week_ago_are_forgotten_a_hundred_at_a_time(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    now_ms = await store.redis_now_ms()
    old = {f"old-{n:03}": float(now_ms - WEEK_MS - 1_000 + n) for n in range(150)}
    recent = {"recent": float(now_ms - WEEK_MS + 60_000)}
    fill_memory(outside, keys, old | recent)
    await remember(store, fence, "new-1")
    kept = set(outside.hgetall(keys.order_memory(SYMBOL)))
    assert kept == {b"recent", b"new-1"} | {f"old-{n:03}".encode() for n in range(100, 150)}
    await remember(store, fence, "new-2")
    assert set(outside.hgetall(keys.order_memory(SYMBOL))) == {b"recent", b"new-1", b"new-2"}
    assert outside.zrange(keys.order_times(SYMBOL)) == [b"recent", b"new-1", b"new-2"]


async def test_no_more_than_ten_thousand_orders_of_a_symbol_are_remembered(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    now_ms = await store.redis_now_ms()
    fill_memory(outside, keys, {f"{n:05}": float(now_ms - 20_000 + n) for n in range(10_000)})
    await remember(store, fence, "new-1")
    orders = outside.hgetall(keys.order_memory(SYMBOL))
    assert len(orders) == 10_000
    assert b"00000" not in orders
    assert b"new-1" in orders
    assert set(outside.zrange(keys.order_times(SYMBOL))) == set(orders)


async def test_booking_an_order_again_makes_it_the_newest(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    now_ms = await store.redis_now_ms()
    fill_memory(outside, keys, {"a": float(now_ms - 2_000), "b": float(now_ms - 1_000)})
    again = booking("1-0", ledger_fields=(), mark_after="", orders=(OrderWrite(OrderId("a"), "1|1", "2|2"),))
    await store.commit_result(fence, again)
    assert outside.zrange(keys.order_times(SYMBOL)) == [b"b", b"a"]
