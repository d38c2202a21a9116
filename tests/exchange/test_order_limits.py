"""Orders beside their deadline, bans, limits and reads: over raw sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest
import trio

from brain.execution.orders import Accepted, NotSent, Refused, Unknown
from exchange.names import NameResolver
from tests.background import background
from tests.exchange.raw_exchange import (
    Orders,
    RawExchange,
    an_order,
    answering,
    orders_to,
    place,
    raw_exchange,
)

OUTSIDE = "Timestamp for this request is outside of the recvWindow."


class EventfulNames(NameResolver):
    """A resolver during whose lookups something happens: a step on the way to the first byte."""

    happens: Callable[[], object] = staticmethod(lambda: None)

    async def addresses(self, host: str) -> tuple[str, ...]:
        self.happens()
        return await super().addresses(host)


@asynccontextmanager
async def stepwise() -> AsyncIterator[tuple[RawExchange, Orders, EventfulNames]]:
    async with raw_exchange(answering(200)) as exchange, trio.open_nursery() as nursery:
        names = EventfulNames(nursery)
        async with orders_to(exchange, names=names) as orders:
            yield exchange, orders, names


@pytest.mark.parametrize(("passing_sec", "sent"), [(2.5, True), (3.5, False)])
async def test_the_deadline_is_checked_right_before_the_first_byte(passing_sec: float, sent: bool) -> None:
    async with stepwise() as (exchange, orders, names):

        def pass_time() -> None:
            orders.clock.ahead_sec += passing_sec

        names.happens = pass_time
        outcome = await place(orders)
        assert isinstance(outcome, Accepted) if sent else outcome == NotSent("late")
    assert len(exchange.orders) == sent


async def test_a_ban_that_begins_while_connecting_stops_the_order() -> None:
    async with stepwise() as (exchange, orders, names):
        names.happens = partial(orders.budget.ban, 30)
        assert await place(orders) == NotSent("ban")
    assert exchange.orders == []


async def test_an_order_past_its_window_opens_no_connection() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange) as orders:
        old = orders.clock.now().earlier_by(3.2)
        assert await orders.entry.place_order(an_order(old)) == NotSent("late")
    assert exchange.connections == 0


@pytest.mark.parametrize(
    ("status", "body"), [(429, b"{}"), (418, b""), (400, b'{"code":-1003,"msg":"Too many requests."}')]
)
async def test_too_many_requests_begin_a_ban_in_which_no_order_is_sent(status: int, body: bytes) -> None:
    async with (
        raw_exchange(answering(status, body, "Retry-After: 30")) as exchange,
        orders_to(exchange) as orders,
    ):
        outcome = await place(orders)
        assert isinstance(outcome, Unknown)
        assert outcome.refused_unless_found
        assert 25 < orders.budget.banned_for_sec <= 60
        assert await place(orders) == NotSent("ban")
    assert len(exchange.orders) == 1


async def test_too_many_orders_stop_orders_and_no_reads() -> None:
    refusal = answering(400, b'{"code":-1015,"msg":"Too many new orders."}')
    async with raw_exchange(refusal) as exchange, orders_to(exchange) as orders:
        outcome = await place(orders)
        assert isinstance(outcome, Unknown)
        assert outcome.refused_unless_found
        assert orders.budget.banned_until is None
        assert orders.entry.reserve_order(closing=True) is not None


async def test_the_headers_of_an_answer_count_orders_and_weight_of_others() -> None:
    headers = ("X-MBX-ORDER-COUNT-10S: 7", "X-MBX-ORDER-COUNT-1M: 31", "X-MBX-USED-WEIGHT-1M: 1234")
    async with raw_exchange(answering(200, None, *headers)) as exchange, orders_to(exchange) as orders:
        for _ in range(20):  # until both requests' moments are in one interval of 10 s
            await place(orders)
            if orders.entry.order_counts() == {"10s": 7, "1m": 31}:
                break
        assert orders.entry.order_counts() == {"10s": 7, "1m": 31}
        assert orders.budget.address_used == 1234


async def test_an_order_costs_no_request_weight_and_needs_none() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange) as orders:
        orders.budget.used_by_address(2400, orders.clock.now())
        assert isinstance(await place(orders), Accepted)
        assert orders.budget.own_used == 0
        orders.budget.used_by_address(2401, orders.clock.now())
        assert await place(orders) == NotSent("budget")
    assert len(exchange.orders) == 1


async def test_an_order_uses_the_connection_that_was_opened_before_it() -> None:
    async with (
        raw_exchange(answering(200)) as exchange,
        orders_to(exchange) as orders,
        background(orders.entry.keep_connected),
    ):
        assert await orders.answered("ping") == "200"
        assert isinstance(await place(orders), Accepted)
    assert exchange.connections == 1


async def test_without_a_connection_the_next_order_opens_one() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange, timeout_sec=0.5) as orders:
        exchange.reads_hang = True
        async with background(orders.entry.keep_connected):
            assert await orders.answered("ping") == "unreachable"
            assert isinstance(await place(orders), Accepted)


async def test_an_order_outside_the_window_has_the_clock_synchronised() -> None:
    refusal = answering(400, msgspec.json.encode({"code": -1021, "msg": OUTSIDE}))
    async with (
        raw_exchange(refusal) as exchange,
        orders_to(exchange) as orders,
        background(orders.entry.keep_connected),
    ):
        assert await orders.answered("ping") == "200"
        assert await place(orders) == Refused("binance_error:-1021", OUTSIDE)
        with trio.fail_after(2):
            assert await orders.answered("time") == "200"
        assert orders.server_time.learnt_at is not None
        assert len(exchange.orders) == 1


async def test_an_order_does_not_wait_behind_reads_that_hang() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange, timeout_sec=10) as orders:
        await orders.rest.synchronise_clock()
        exchange.reads_hang = True
        request = an_order(orders.clock.now())
        ask = partial(orders.entry.find_order, request.symbol, request.client_order_id)
        async with trio.open_nursery() as nursery:
            for _ in range(150):  # more than a pool has connections
                nursery.start_soon(ask)
            with trio.fail_after(5):
                while len(exchange.open_streams) < 100:
                    await trio.lowlevel.checkpoint()
            now_ms = orders.server_time.exchange_ms(orders.clock.now())
            assert isinstance(await place(orders, timestamp_ms=now_ms), Accepted)
            nursery.cancel_scope.cancel()
