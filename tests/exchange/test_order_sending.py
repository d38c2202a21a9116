"""One order is one HTTP request, and what is not known to have failed is unknown: over raw sockets."""

from __future__ import annotations

import socket
from decimal import Decimal

import pytest
import trio

from brain.execution.orders import Accepted, NotSent, OrderOutcome, OrderStatus, Refused, Unknown
from brain.identifiers import OrderId
from brain.positions.position import Leg
from tests.exchange.raw_exchange import (
    Answer,
    Orders,
    RawExchange,
    an_order,
    answer_bytes,
    answering,
    close,
    hang,
    order_body,
    orders_to,
    place,
    raw_exchange,
    reset,
)

UNKNOWN_503 = b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'


async def outcome_of(answer: Answer) -> tuple[OrderOutcome, RawExchange]:
    """Return the outcome of an order that is answered so."""
    async with raw_exchange(answer) as exchange, orders_to(exchange) as orders:
        return await place(orders), exchange


async def test_an_order_is_one_request_with_the_time_and_window_that_were_fixed_for_it() -> None:
    async with raw_exchange(answering(200)) as exchange, orders_to(exchange) as orders:
        request = an_order(orders.clock.now().earlier_by(1.5))
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
async def test_an_answer_without_proof_is_unknown_and_its_order_is_sent_once(answer: Answer) -> None:
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
    assert 2 <= trio.current_time() - began_sec < 4
    assert len(exchange.orders) == 1


async def test_a_redirect_is_not_followed() -> None:
    elsewhere = "Location: /fapi/v1/order?symbol=BTCUSDT"
    outcome, exchange = await outcome_of(answering(307, b"", elsewhere))
    assert outcome == Unknown("status 307")
    assert len(exchange.orders) == 1


async def test_interim_answers_are_passed_over_and_do_not_lengthen_the_time_for_an_order() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"

    async def hint_first(stream: trio.SocketStream, asked: dict[str, str]) -> None:
        await stream.send_all(2 * early + answer_bytes(200, order_body(asked)))

    async def hint_for_ever(stream: trio.SocketStream, _asked: dict[str, str]) -> None:
        while True:
            await stream.send_all(early)
            await trio.sleep(0.02)

    assert isinstance((await outcome_of(hint_first))[0], Accepted)
    outcome, exchange = await outcome_of(hint_for_ever)
    assert outcome == Unknown("no answer within 2 s")
    assert len(exchange.orders) == 1


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    outcome, _ = await outcome_of(answering(200))
    assert isinstance(outcome, Accepted)


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
                orders.entry._sender._client._timeouts["connect"] = connect_sec
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


async def test_a_cancelled_order_stays_cancelled() -> None:
    scope = trio.CancelScope()

    async def cancel(_stream: trio.SocketStream, _asked: dict[str, str]) -> None:
        scope.cancel()
        await trio.sleep_forever()

    async with raw_exchange(cancel) as exchange, orders_to(exchange, timeout_sec=5) as orders:
        with scope:
            await place(orders)
            raise AssertionError("an order came back that was cancelled")
        assert await orders.answered("newOrder") == "cancelled"
    assert len(exchange.orders) == 1
