"""One order is one HTTP request, and what is not known to have failed is unknown: over raw sockets."""

from __future__ import annotations

import socket
from decimal import Decimal
from functools import partial

import msgspec
import pytest
import trio

from brain.execution.orders import (
    Accepted,
    NotSent,
    OrderOutcome,
    OrderRequest,
    OrderStatus,
    Refused,
    Unknown,
    client_order_id,
)
from brain.identifiers import OrderId, PlanId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg
from exchange.names import NameResolver
from tests.background import background
from tests.exchange.raw_exchange import (
    Answer,
    Orders,
    RawExchange,
    answer_bytes,
    answering,
    close,
    hang,
    order_body,
    orders_to,
    raw_exchange,
    reset,
)

UNKNOWN_503 = b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
OUTSIDE = "Timestamp for this request is outside of the recvWindow."


def an_order(at: Moment, **changes: object) -> OrderRequest:
    request = OrderRequest(
        symbol=Symbol("BTCUSDT"),
        side="SELL",
        quantity=Decimal("0.0100"),
        leg=Leg.BOTH,
        reduce_only=True,
        client_order_id=client_order_id("quantum", PlanId("0123456789abcdef")),
        timestamp_ms=at.wall_ms,
        recv_window_ms=3000,
    )
    return msgspec.structs.replace(request, **changes)


async def place(orders: Orders, **changes: object) -> OrderOutcome:
    with trio.fail_after(5):
        return await orders.entry.place_order(an_order(orders.clock.now(), **changes))


async def outcome_of(answer: Answer) -> tuple[OrderOutcome, RawExchange]:
    """Return the outcome of an order that is answered so."""
    async with raw_exchange(answer) as exchange, orders_to(exchange) as orders:
        return await place(orders), exchange


async def test_an_order_is_one_request_with_the_time_and_window_that_were_fixed_for_it() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange) as orders:
        request = an_order(orders.clock.now())
        outcome = await orders.entry.place_order(request)
        [asked] = exchange.orders
    assert isinstance(outcome, Accepted)
    order = outcome.order
    assert (order.order_id, order.client_order_id) == (OrderId("8886774"), request.client_order_id)
    assert (order.status, order.cumulative, order.average_price) == (
        OrderStatus.FILLED,
        Decimal("0.01"),
        None,
    )
    assert list(asked)[-1] == "signature"
    del asked["signature"]
    assert asked == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "MARKET",
        "quantity": "0.01",
        "newClientOrderId": request.client_order_id,
        "newOrderRespType": "RESULT",
        "reduceOnly": "true",
        "recvWindow": "3000",
        "timestamp": str(request.timestamp_ms),
    }


async def test_hedge_mode_names_the_leg_and_never_says_reduce_only() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange) as orders:
        await place(orders, leg=Leg.SHORT)
        await place(orders, reduce_only=False)
        hedged, opening = exchange.orders
    assert hedged["positionSide"] == "SHORT"
    assert "reduceOnly" not in hedged
    assert not {"positionSide", "reduceOnly"} & opening.keys()


@pytest.mark.parametrize(
    "answer",
    [
        reset,
        close,
        hang,
        answering(200, b""),
        answering(200, b"<html></html>"),
        answering(200, b"[" * 100_000),
        answering(200, b'{"orderId": 1, "status": "FILLED"}'),
        answering(
            503, b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
        ),
        answering(500),
        answering(408, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}'),
    ],
    ids=["reset", "closed", "hanging", "empty", "HTML", "deep", "half", "503", "500", "408"],
)
async def test_what_gives_no_proof_is_unknown_and_is_sent_once(answer: Answer) -> None:
    outcome, exchange = await outcome_of(answer)
    assert isinstance(outcome, Unknown)
    assert not outcome.refused_unless_found
    assert len(exchange.orders) == 1


@pytest.mark.parametrize("kept", [0, 1, 20, 150, -1])
async def test_an_answer_that_is_cut_anywhere_is_unknown(kept: int) -> None:
    async def cut(stream: trio.SocketStream, asked: dict[str, str]) -> None:
        whole = answer_bytes(200, order_body(asked))
        await stream.send_all(whole[:kept] if kept >= 0 else whole[:-1])
        await stream.aclose()

    outcome, exchange = await outcome_of(cut)
    assert isinstance(outcome, Unknown)
    assert len(exchange.orders) == 1


async def test_an_answer_that_stops_in_the_middle_is_unknown_when_the_time_for_an_order_is_over() -> None:
    async def stall(stream: trio.SocketStream, asked: dict[str, str]) -> None:
        await stream.send_all(answer_bytes(200, order_body(asked))[:-1])
        await trio.sleep_forever()

    began_sec = trio.current_time()
    outcome, exchange = await outcome_of(stall)
    assert isinstance(outcome, Unknown)
    assert 0.5 <= trio.current_time() - began_sec < 2
    assert len(exchange.orders) == 1


async def test_a_refusal_is_final_with_its_code() -> None:
    outcome, exchange = await outcome_of(answering(400, b'{"code":-2019,"msg":"Margin is insufficient."}'))
    assert outcome == Refused("binance_error:-2019", "Margin is insufficient.")
    assert len(exchange.orders) == 1


async def test_a_refusal_whose_text_is_cut_is_unknown() -> None:
    async def cut(stream: trio.SocketStream, _asked: dict[str, str]) -> None:
        await stream.send_all(answer_bytes(400, b'{"code":-2019,"msg":"Margin', length=45))
        await stream.aclose()

    outcome, _ = await outcome_of(cut)
    assert isinstance(outcome, Unknown)


async def test_without_a_connection_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    orders = Orders(f"http://127.0.0.1:{port}")
    async with orders.rest:
        assert await place(orders) == NotSent("connect")
        assert await orders.answered("newOrder") == "not_sent"


async def test_a_tls_handshake_that_is_never_answered_sends_nothing() -> None:
    async with raw_exchange(hang) as exchange:
        for timeout_sec, connect_sec in ((0.3, None), (0.3, 10.0)):
            orders = Orders(f"https://127.0.0.1:{exchange.port}", timeout_sec=timeout_sec)
            if connect_sec is not None:  # then the time for the whole order ends first
                orders.entry._sender._client.timeout.connect = connect_sec
            async with orders.rest:
                assert await place(orders) == NotSent("connect")
    assert exchange.orders == []


async def test_a_connection_that_the_exchange_closed_while_idle_is_not_used() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange) as orders:
        assert isinstance(await place(orders), Accepted)
        [idle] = exchange.open_streams
        await idle.aclose()
        assert isinstance(await place(orders), Accepted)
    assert (exchange.connections, len(exchange.orders)) == (2, 2)


async def test_a_used_connection_that_closes_while_the_order_is_on_its_way_is_unknown() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange) as orders:
        assert isinstance(await place(orders), Accepted)
        for answer in (close, reset):
            exchange.answer = answer
            assert isinstance(await place(orders), Unknown)
            exchange.answer = answering(200)
            assert isinstance(await place(orders), Accepted)
    assert len(exchange.orders) == 5


class LateNames(NameResolver):
    """A resolver during whose lookups the clock goes on."""

    def __init__(self, nursery: trio.Nursery, passing_sec: float) -> None:
        super().__init__(nursery)
        self.passing_sec = passing_sec
        self.orders: Orders | None = None

    async def addresses(self, host: str) -> tuple[str, ...]:
        if self.orders is not None:
            self.orders.clock.ahead_sec += self.passing_sec
        return await super().addresses(host)


@pytest.mark.parametrize(("passing_sec", "sent"), [(2.5, True), (3.5, False)])
async def test_the_deadline_is_checked_right_before_the_first_byte(passing_sec: float, sent: bool) -> None:
    async with raw_exchange(answering(200)) as exchange, trio.open_nursery() as nursery:
        names = LateNames(nursery, passing_sec)
        async with orders_to(exchange, names=names) as orders:
            names.orders = orders
            outcome = await place(orders)
        assert isinstance(outcome, Accepted) if sent else outcome == NotSent("late")
    assert len(exchange.orders) == sent


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
        orders.budget.used_by_address(2400)
        assert isinstance(await place(orders), Accepted)
        assert orders.budget.own_used == 0
        orders.budget.used_by_address(2401)
        assert await place(orders) == NotSent("budget")
    assert len(exchange.orders) == 1


async def test_a_cancelled_order_stays_cancelled() -> None:
    async with raw_exchange(hang) as exchange, orders_to(exchange, timeout_sec=5) as orders:
        with trio.move_on_after(0.1) as scope:
            await place(orders)
            raise AssertionError("an order came back that was cancelled")
        assert scope.cancelled_caught
        assert await orders.answered("newOrder") == "cancelled"
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
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange, timeout_sec=0.1) as orders:
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
