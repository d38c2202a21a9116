"""What a booking and a repair of the ledger share (`_booking.lua`)."""

from __future__ import annotations

from collections.abc import Sequence

from store.keys import Keys
from store.memory.keyspace import Keyspace
from store.records import OrderWrite

_WEEK_MS = 604_800_000
_MOST_ORDERS = 10_000
_MOST_AT_ONCE = 100


def remember_orders(
    redis: Keyspace, keys: Keys, symbol: str, orders: Sequence[OrderWrite], now_ms: int
) -> None:
    """Remember what is booked of orders; `forget_orders` is to follow."""
    for order in orders:
        redis.hset(keys.order_memory(symbol), (order.order_id, order.after))
        redis.zadd(keys.order_times(symbol), now_ms, order.order_id)


def forget_orders(redis: Keyspace, keys: Keys, symbol: str, now_ms: int) -> None:
    """Forget orders of more than a week ago, or of more than 10,000 the oldest: at most 100 at once."""
    memory_key, times_key = keys.order_memory(symbol), keys.order_times(symbol)
    times = redis.sorted_set(times_key)
    surplus = len(times) - _MOST_ORDERS
    if surplus > 0 or min(times.values()) <= now_ms - _WEEK_MS:
        in_order = times.in_order()
        old = [order for score, order in in_order[:_MOST_AT_ONCE] if score <= now_ms - _WEEK_MS]
        old = old or [order for _, order in in_order[: min(surplus, _MOST_AT_ONCE)]]
        redis.hdel(memory_key, old)
        redis.zrem(times_key, old)
    redis.expire(memory_key, _WEEK_MS)
    redis.expire(times_key, _WEEK_MS)
