from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
import trio
import trio.lowlevel
from trio_websocket import ConnectionClosed, ConnectionRejected, open_websocket_url

from simulator import RunningSimulator, SimulatedExchange, StreamServer, running
from simulator.external_events import move_position
from tests.simulator.clients import HttpClient, next_event, stays_silent

QUANTITY = Decimal("0.010")


def private(ws_url: str, key: str, extra: str = "") -> str:
    return f"{ws_url}/private/ws?listenKey={key}{extra}"


async def test_the_listen_key_may_be_part_of_the_path(client: HttpClient) -> None:
    url = f"{client.ws_url}/private/ws/{await client.listen_key()}"
    async with open_websocket_url(url) as websocket:
        move(client.simulator)
        assert (await next_event(websocket, "ACCOUNT_UPDATE"))["a"]["P"][0]["pa"] == "0.010"


def move(simulator: RunningSimulator, delta: Decimal = QUANTITY) -> None:
    move_position(simulator.exchange, "BTCUSDT", delta=delta)


async def test_a_fill_reaches_every_connection_of_the_listen_key(client: HttpClient) -> None:
    key = await client.listen_key()
    async with (
        open_websocket_url(private(client.ws_url, key)) as first,
        open_websocket_url(private(client.ws_url, key)) as second,
    ):
        await client.signed(
            "POST", "/fapi/v1/order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.010"
        )
        for websocket in (first, second):
            event = await next_event(websocket, "ACCOUNT_UPDATE")
            assert event["a"]["P"][0]["pa"] == "-0.010"


NO_STREAMS = ["/private/ws?listenKey=dead", "/private/ws/dead", "/private/ws", "/ws/abc", "/market"]


@pytest.mark.parametrize("path", [*NO_STREAMS, "/market/ws/!noSuchStream@arr", "/ws/!markPrice@arr@1s"])
async def test_an_unknown_stream_is_accepted_answers_pings_and_stays_silent(
    client: HttpClient, path: str
) -> None:
    key = await client.listen_key()
    async with (
        open_websocket_url(client.ws_url + path) as nowhere,
        open_websocket_url(private(client.ws_url, key)) as live,
    ):
        move(client.simulator)
        await next_event(live, "ACCOUNT_UPDATE")
        await nowhere.ping()
        await stays_silent(nowhere)


@pytest.mark.parametrize("path", NO_STREAMS)
async def test_an_unknown_stream_can_be_refused(simulator: RunningSimulator, path: str) -> None:
    simulator.exchange.faults.refuse_unknown_streams = True
    with pytest.raises(ConnectionRejected):
        async with open_websocket_url(simulator.addresses.ws_url + path):
            pass


async def test_only_the_events_asked_for_come(client: HttpClient) -> None:
    key = await client.listen_key()
    async with open_websocket_url(private(client.ws_url, key, "&events=ACCOUNT_UPDATE")) as websocket:
        move(client.simulator)
        move(client.simulator)
        assert [(await next_event(websocket))["e"] for _ in range(2)] == ["ACCOUNT_UPDATE"] * 2


async def test_the_combined_stream_names_the_listen_key_and_takes_subscriptions(client: HttpClient) -> None:
    key = await client.listen_key()
    async with open_websocket_url(f"{client.ws_url}/private/stream") as websocket:
        await websocket.send_message(
            msgspec.json.encode({"method": "SUBSCRIBE", "params": [key], "id": 7}).decode()
        )
        assert msgspec.json.decode(await websocket.get_message()) == {"result": None, "id": 7}
        move(client.simulator)
        wrapped = msgspec.json.decode(await websocket.get_message())
        assert wrapped["stream"] == key
        assert wrapped["data"]["e"] == "ORDER_TRADE_UPDATE"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ('{"method":"LIST_SUBSCRIPTIONS","id":1}', {"result": ["!markPrice@arr"], "id": 1}),
        (
            '{"method":"UNSUBSCRIBE","params":["!markPrice@arr"],"id":"a"}',
            {"result": None, "id": "a"},
        ),
        ('{"method":"DANCE","id":2}', {"error": {"code": 2, "msg": "Invalid request"}, "id": 2}),
    ],
)
async def test_commands_on_a_stream_are_answered(
    simulator: RunningSimulator, command: str, answer: dict[str, object]
) -> None:
    url = f"{simulator.addresses.ws_url}/market/ws/!markPrice@arr"
    async with open_websocket_url(url) as websocket:
        await websocket.send_message(command)
        while True:
            message = msgspec.json.decode(await websocket.get_message())
            if isinstance(message, dict):
                assert message == answer
                return


async def test_a_command_that_is_no_json_is_an_error_and_not_the_end(simulator: RunningSimulator) -> None:
    async with open_websocket_url(f"{simulator.addresses.ws_url}/public/stream") as websocket:
        for _ in range(2):
            await websocket.send_message("{")
            assert msgspec.json.decode(await websocket.get_message())["error"]["code"] == 3


async def test_mark_prices_come_as_an_array_of_all_symbols(simulator: RunningSimulator) -> None:
    url = f"{simulator.addresses.ws_url}/market/ws/!markPrice@arr@1s"
    async with open_websocket_url(url) as websocket:
        prices = msgspec.json.decode(await websocket.get_message())
    assert [price["st"] for price in prices] == [1] * 569 + [2] * 3
    assert prices[0].keys() == {"e", "E", "s", "p", "ap", "P", "i", "r", "T", "st"}
    assert (prices[0]["e"], prices[0]["s"]) == ("markPriceUpdate", "BTCUSDT")


async def test_after_its_expiry_event_a_stream_is_silent_but_open(client: HttpClient) -> None:
    key = await client.listen_key()
    async with open_websocket_url(private(client.ws_url, key)) as websocket:
        client.exchange.expire_listen_key(now=True)
        assert (await next_event(websocket))["listenKey"] == key
        new_key = await client.listen_key()
        async with open_websocket_url(private(client.ws_url, new_key)) as fresh:
            move(client.simulator)
            await next_event(fresh, "ACCOUNT_UPDATE")
            await websocket.ping()
            await stays_silent(websocket)


async def test_an_expired_hour_is_noticed_without_a_request() -> None:
    exchange = SimulatedExchange()
    async with running(exchange) as simulator:
        key = exchange.listen_keys.create_or_extend(exchange.host_ms())
        async with open_websocket_url(private(simulator.addresses.ws_url, key)) as websocket:
            exchange.listen_keys.validity_ms = 20
            exchange.listen_keys.extend(exchange.host_ms())
            with trio.fail_after(2):
                assert (await next_event(websocket))["e"] == "listenKeyExpired"


@pytest.mark.parametrize("by", ["request", "method", "silently"])
async def test_deleting_the_listen_key_mutes_its_streams_and_leaves_them_open(
    client: HttpClient, by: str
) -> None:
    key = await client.listen_key()
    async with open_websocket_url(private(client.ws_url, key)) as websocket:
        if by == "request":
            await client.keyed("DELETE", "/fapi/v1/listenKey")
        else:
            client.exchange.delete_listen_key(silently=by == "silently")
        if by != "silently":
            assert (await next_event(websocket))["listenKey"] == key
        await client.listen_key()
        move(client.simulator)
        await websocket.ping()
        await stays_silent(websocket)


async def test_the_server_pings_and_drops_a_client_that_does_not_answer() -> None:
    exchange = SimulatedExchange()
    streams = StreamServer(exchange, ping_interval_sec=0.02, pong_timeout_sec=0.05)
    async with running(exchange, streams=streams) as simulator:
        url = f"{simulator.addresses.ws_url}/public/stream"
        async with open_websocket_url(url) as websocket:
            with trio.move_on_after(0.15) as answering:
                await websocket.get_message()
            assert answering.cancelled_caught, "a client that answers pings was dropped"
            streams.freeze()
            with trio.fail_after(2), pytest.raises(ConnectionClosed):
                await websocket.get_message()


async def test_a_connection_ends_when_its_day_is_over() -> None:
    exchange = SimulatedExchange()
    streams = StreamServer(exchange, longest_connection_sec=0.05)
    async with (
        running(exchange, streams=streams) as simulator,
        open_websocket_url(f"{simulator.addresses.ws_url}/public/stream") as websocket,
    ):
        with trio.fail_after(2), pytest.raises(ConnectionClosed):
            await websocket.get_message()


async def test_clients_that_come_and_go_in_a_storm_of_events_disturb_no_other(client: HttpClient) -> None:
    key = await client.listen_key()

    async def come_and_go(times: int) -> None:
        for _ in range(times):
            async with open_websocket_url(private(client.ws_url, key)) as websocket:
                await websocket.get_message()

    async def storm(*, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            while True:
                move(client.simulator)
                await trio.lowlevel.checkpoint()

    async with (
        open_websocket_url(private(client.ws_url, key), message_queue_size=100_000) as steady,
        trio.open_nursery() as nursery,
    ):
        stopped = await nursery.start(storm)
        async with trio.open_nursery() as visitors:
            for _ in range(5):
                visitors.start_soon(come_and_go, 4)
        stopped.cancel()
        expected = [change.amount for change in client.exchange.history.changes("BTCUSDT")]
        shown = [await next_event(steady, "ACCOUNT_UPDATE") for _ in expected]
    assert [Decimal(event["a"]["P"][0]["pa"]) for event in shown] == expected
