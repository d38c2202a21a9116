from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from trio_websocket import open_websocket_url

from simulator import PositionChange, RunningSimulator
from tests.simulator.clients import HttpClient, next_event


class Control:
    def __init__(self, client: HttpClient) -> None:
        self._http = client.http

    async def get(self, path: str) -> Any:
        response = await self._http.get(f"/simulator{path}")
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, **body: object) -> Any:
        response = await self._http.post(f"/simulator{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def refusal(self, path: str, body: str) -> str:
        response = await self._http.post(f"/simulator{path}", content=body)
        assert response.status_code == 400, response.text
        error: str = response.json()["error"]
        return error


@pytest.fixture
def control(client: HttpClient) -> Control:
    return Control(client)


async def test_faults_are_patched_read_and_cleared(simulator: RunningSimulator, control: Control) -> None:
    await control.post("/faults", rest_latency_ms=7.5, rest_faults_next=["hang"], clock_skew_ms=-20)
    assert simulator.exchange.faults.rest_latency_ms == 7.5
    assert simulator.exchange.exchange_ms() < simulator.exchange.host_ms()
    assert (await control.get("/faults"))["rest_faults_next"] == ["hang"]
    await control._http.delete("/simulator/faults")
    assert simulator.exchange.faults.rest_faults_next == []
    assert simulator.exchange.faults.clock_skew_ms == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", '{"rest_latencyms": 5}'),
        ("/faults", '{"rest_latency_ms": "slow"}'),
        ("/faults", '{"rest_faults_next": ["meteor"]}'),
        ("/position", '{"symbol": "BTCUSDT"}'),
        ("/position", '{"symbol": "NOSUCHUSDT", "delta": "1"}'),
        ("/position", '{"symbol": "BTCUSDT", "delta": "1", "amount": "2"}'),
        ("/streams", '{"action": "explode"}'),
        ("/order", '{"symbol": "BTCUSDT", "order_id": 1}'),
        ("/leverage", '{"symbol": "BTCUSDT", "leverage": 500}'),
        ("/ban", "not json"),
        ("/balance", '{"amount": "1", "reason": "FUNDING"}'),
        ("/listen-key", '{"action": "steal"}'),
        ("/odd", '{"where": "nowhere", "symbol": "BTCUSDT", "changes": null}'),
        ("/rewind", '{"symbol": "NOSUCHUSDT", "amount": "1", "update_time_ms": 0}'),
        ("/listing", '{"symbol": "BTCUSDT", "step_size": "0"}'),
        ("/listing", '{"symbol": "NEWUSDT", "step_size": "1", "first_price": "-1"}'),
        ("/faults", '{"drop_streams_every_sec": 0}'),
        ("/balance", '{"amount": "1", "symbol": "NOSUCHUSDT"}'),
        ("/order", '{"symbol": "BTCUSDT", "order_id": 1, "end": "FILLED"}'),
        ("/order-counts", '{"used": 1}'),
        ("/faults", '{"fills_per_order": 0}'),
        ("/faults", '{"late_ms": 60001}'),
        ("/faults", '{"history_lag_ms": -1}'),
        ("/faults", '{"rows_at_most": 0}'),
        ("/position", '{"symbol": "BTCUSDT", "delta": "1", "sender": "fax"}'),
        ("/position", '{"symbol": "BTCUSDT", "delta": "1", "parts": 0}'),
        ("/settle", '{"symbol": "NOSUCHUSDT"}'),
    ],
)
async def test_a_control_that_does_not_fit_is_refused_and_changes_nothing(
    simulator: RunningSimulator, control: Control, path: str, body: str
) -> None:
    before = msgspec.json.encode(simulator.exchange.faults)
    assert await control.refusal(path, body)
    assert msgspec.json.encode(simulator.exchange.faults) == before
    assert simulator.exchange.history.legs() == []


async def test_a_position_is_moved_read_and_remembered(simulator: RunningSimulator, control: Control) -> None:
    moved = await control.post("/position", symbol="BTCUSDT", target="-0.5", cause="liquidation")
    assert moved["order_id"] is not None
    (position,) = await control.get("/positions")
    assert (position["symbol"], position["amount"]) == ("BTCUSDT", "-0.500")
    raw = (await control._http.get("/simulator/history?symbol=BTCUSDT")).content
    (change,) = msgspec.json.decode(raw, type=list[PositionChange])
    assert change == simulator.exchange.history.changes("BTCUSDT")[0]
    assert change.client_order_id.startswith("autoclose-")
    assert await control.get("/history?symbol=ETHUSDT") == []


async def test_trades_of_others_and_a_settlement_are_controlled(
    client: HttpClient, simulator: RunningSimulator, control: Control
) -> None:
    await control.post("/faults", history_lag_ms=1.0, rows_at_most=5, forced_orders_hidden=True)
    assert simulator.exchange.faults.rows_at_most == 5
    await control.post("/faults", history_lag_ms=0, rows_at_most=1000)
    await control.post("/position", symbol="BTCUSDT", target="2", sender="android")
    await control.post("/position", symbol="BTCUSDT", delta="-1", cause="liquidation", parts=4)
    await control.post("/position", symbol="BTCUSDT", delta="1", client_order_id="p33-0")
    settled = await control.post("/settle", symbol="BTCUSDT")
    orders = (await client.signed("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")).json()
    assert [order["clientOrderId"].partition("_")[0] for order in orders] == [
        "android",
        "p33-0",
        "settlement",
    ]
    assert settled["order_ids"] == [orders[-1]["orderId"]]
    (forced,) = (await client.signed("GET", "/fapi/v1/forceOrders", symbol="BTCUSDT")).json()
    trades = (await client.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")).json()
    assert [trade["orderId"] for trade in trades].count(forced["orderId"]) == 4
    assert await control.get("/positions") == []
    assert simulator.exchange.listing.status("BTCUSDT") == "SETTLING"


async def test_requests_are_listed_and_controls_are_not_among_them(
    client: HttpClient, control: Control
) -> None:
    await client.keyed("GET", "/fapi/v1/time")
    await client.keyed("GET", "/fapi/v1/ping")
    listed = await control.get("/requests?path=/fapi/v1/time")
    assert listed["total"] == 2
    assert [(each["path"], each["weight"], each["status"]) for each in listed["records"]] == [
        ("/fapi/v1/time", 1, 200)
    ]
    last = (await control.get("/requests"))["records"][-1]
    assert (await control.get(f"/requests?since_ms={last['wall_time_ms'] + 60_000}"))["records"] == []


async def test_symbols_prices_and_modes_are_controlled(simulator: RunningSimulator, control: Control) -> None:
    exchange = simulator.exchange
    await control.post("/delist", symbol="ETHUSDT")
    assert exchange.listing.status("ETHUSDT") == "SETTLING"
    await control.post("/delist", symbol="ETHUSDT", status="REMOVED")
    assert "ETHUSDT" not in exchange.listing.symbols
    await control.post("/mark-price", symbol="BTCUSDT", price="42000", hold=True)
    assert exchange.mark_price("BTCUSDT") == Decimal(42000)
    await control.post("/leverage", symbol="BTCUSDT", leverage=4)
    assert exchange.leverage("BTCUSDT") == 4
    await control.post("/position-mode", hedge_mode=True)
    assert exchange.hedge_mode


async def test_step_sizes_change_and_symbols_are_listed_while_running(
    client: HttpClient, control: Control
) -> None:
    await control.post("/position", symbol="BTCUSDT", target="0.001")
    await control.post("/listing", symbol="BTCUSDT", step_size="0.0001")
    await control.post(
        "/listing", symbol="币安人生USDT", step_size="1", tick_size="0.001", first_price="0.25"
    )
    listed = {
        each["symbol"]: each for each in (await client.http.get("/fapi/v1/exchangeInfo")).json()["symbols"]
    }
    steps = [each["stepSize"] for each in listed["BTCUSDT"]["filters"] if "stepSize" in each]
    assert steps == ["0.0001", "0.0001"]
    assert listed["币安人生USDT"]["status"] == "TRADING"
    await control.post("/position", symbol="BTCUSDT", delta="0.0001")
    await control.post("/position", symbol="币安人生USDT", target="7")
    rows = {row["symbol"]: row for row in (await client.signed("GET", "/fapi/v2/positionRisk")).json()}
    assert rows["BTCUSDT"]["positionAmt"] == "0.0011"
    assert (rows["币安人生USDT"]["positionAmt"], len(rows)) == ("7", 570)
    assert "listed" not in await control.refusal("/listing", '{"symbol": "X"}')


async def test_an_announced_end_is_listed_and_trading_ends_then(
    client: HttpClient, simulator: RunningSimulator, control: Control
) -> None:
    async def listed() -> dict[str, tuple[str, int]]:
        rows = (await client.http.get("/fapi/v1/exchangeInfo")).json()["symbols"]
        return {row["symbol"]: (row["status"], row["deliveryDate"]) for row in rows}

    exchange = simulator.exchange
    late_ms = exchange.exchange_ms() + 3_600_000
    for symbol in ("ETHUSDT", "XRPUSDT"):
        await control.post("/end", symbol=symbol, end_ms=late_ms)
    assert (await listed())["ETHUSDT"] == ("TRADING", late_ms)
    await control.post("/end", symbol="XRPUSDT")
    assert (await listed())["XRPUSDT"] == (await listed())["BTCUSDT"] == ("TRADING", 4_133_404_800_000)
    exchange.due.run(late_ms - 1)
    assert (await listed())["ETHUSDT"] == ("TRADING", late_ms)
    exchange.due.run(late_ms)
    shown = await listed()
    assert shown["ETHUSDT"] == ("SETTLING", late_ms)
    assert {status for symbol, (status, _) in shown.items() if symbol != "ETHUSDT"} == {"TRADING"}
    assert "-1121" in await control.refusal("/end", '{"symbol": "NEWUSDT"}')


async def test_contracts_of_other_types_are_listed(client: HttpClient, control: Control) -> None:
    for symbol, contract_type in (("BTCUSDT_261225", "CURRENT_QUARTER"), ("TSLAUSDT", "TRADIFI_PERPETUAL")):
        await control.post("/listing", symbol=symbol, step_size="0.01", contract_type=contract_type)
    rows = {row["symbol"]: row for row in (await client.http.get("/fapi/v1/exchangeInfo")).json()["symbols"]}
    shown = ("contractType", "pair", "baseAsset", "quoteAsset")
    assert [rows["BTCUSDT_261225"][name] for name in shown] == ["CURRENT_QUARTER", "BTCUSDT", "BTC", "USDT"]
    assert [rows["TSLAUSDT"][name] for name in shown] == ["TRADIFI_PERPETUAL", "TSLAUSDT", "TSLA", "USDT"]
    assert "contract_type" in await control.refusal(
        "/listing", '{"symbol": "X", "step_size": "1", "contract_type": "DAILY"}'
    )


async def test_the_listen_key_is_controlled(client: HttpClient, control: Control) -> None:
    key = await client.listen_key()
    other = (await control.post("/listen-key", action="replace"))["listen_key"]
    assert (await client.keyed("PUT", "/fapi/v1/listenKey")).json() == {"listenKey": other}
    assert other != key
    assert (await control.post("/listen-key", action="delete", silently=True))["listen_key"] is None
    assert (await client.keyed("PUT", "/fapi/v1/listenKey")).status_code == 400
    await client.listen_key()
    assert (await control.post("/listen-key", action="expire"))["listen_key"] is None


async def test_weights_of_paths_and_the_kind_of_account_are_controlled(
    client: HttpClient, control: Control
) -> None:
    await control.post("/weight", overrides={"/fapi/v2/positionRisk": 10})
    answer = await client.signed("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "10"
    await control.post("/portfolio-margin", portfolio_margin=True)
    assert (await client.signed("GET", "/fapi/v2/positionRisk")).status_code == 401
    await control.post("/portfolio-margin", portfolio_margin=False)
    assert (await client.signed("GET", "/fapi/v2/positionRisk")).status_code == 200


async def test_a_ban_and_weight_spent_elsewhere_are_controlled(client: HttpClient, control: Control) -> None:
    await control.post("/weight", used=2000)
    assert (await client.keyed("GET", "/fapi/v1/time")).headers["X-MBX-USED-WEIGHT-1M"] == "2001"
    await control.post("/weight", limit_per_minute=2001)
    assert (await client.keyed("GET", "/fapi/v1/time")).status_code == 429
    await control.post("/ban", seconds=60)
    assert (await client.keyed("GET", "/fapi/v1/time")).status_code == 418
    await control.post("/ban", seconds=0)
    await control.post("/weight", used=0)
    assert (await client.keyed("GET", "/fapi/v1/time")).status_code == 200


async def test_partial_fills_are_controlled(client: HttpClient, control: Control) -> None:
    await control.post("/first-fill-share", share="0.3")
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    answer = (await client.signed("POST", "/fapi/v1/order", **order, newOrderRespType="RESULT")).json()
    assert (answer["status"], answer["executedQty"]) == ("PARTIALLY_FILLED", "0.300")
    finish = {"symbol": "BTCUSDT", "order_id": answer["orderId"]}
    assert (await control.post("/order", **finish, quantity="0.2"))["executed"] == "0.500"
    assert (await control.post("/order", **finish, end="EXPIRED"))["status"] == "EXPIRED"
    await control.post("/first-fill-share", share=None)
    answer = (await client.signed("POST", "/fapi/v1/order", **order, newOrderRespType="RESULT")).json()
    assert answer["status"] == "FILLED"


async def test_orders_are_ended_listed_and_counted(client: HttpClient, control: Control) -> None:
    await control.post("/mark-price", symbol="BTCUSDT", price="50000", hold=True)
    await control.post("/faults", order_visible_after_ms=60_000)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
    first, second = [
        (await client.signed("POST", "/fapi/v1/order", **order, price="49000")).json() for _ in range(2)
    ]
    ending = {"symbol": "BTCUSDT", "order_id": first["orderId"], "end": "EXPIRED_IN_MATCH", "reason": "1"}
    assert (await control.post("/order", **ending))["status"] == "EXPIRED_IN_MATCH"
    await control.post("/mark-price", symbol="BTCUSDT", price="48900", hold=True)
    listed = await control.get("/orders?symbol=BTCUSDT")
    assert [(each["status"], each["executed"]) for each in listed] == [
        ("EXPIRED_IN_MATCH", "0"),
        ("FILLED", "1"),
    ]
    assert await control.get("/orders") == listed
    assert listed[1]["order_id"] == second["orderId"]
    await control.post("/order-counts", used_10s=6, used_1m=7, limit_10s=7)
    answer = await client.signed("POST", "/fapi/v1/order", **order, price="48000")
    assert int(answer.headers["X-MBX-ORDER-COUNT-1M"]) == 8
    assert (await client.signed("POST", "/fapi/v1/order", **order, price="48000")).status_code == 429


async def test_the_largest_position_of_a_symbol_is_controlled(client: HttpClient, control: Control) -> None:
    await control.post("/leverage", symbol="BTCUSDT", leverage=10, max_notional="1000")
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    assert (await client.signed("POST", "/fapi/v1/order", **order)).json()["code"] == -2027
    (row,) = (await client.signed("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")).json()
    assert row["maxNotionalValue"] == "1000"


async def test_streams_are_controlled(client: HttpClient, control: Control) -> None:
    async with open_websocket_url(await client.stream_url()) as websocket:
        assert (await control.post("/streams", action="freeze", face="private"))["connections"] == 1
        await control.post("/balance", amount="-0.5")
        await control.post("/frame", text='{"e":"SOMETHING_NEW","E":1}')
        await control.post("/streams", action="thaw")
        assert (await next_event(websocket))["a"]["P"] == []
        assert (await next_event(websocket))["e"] == "SOMETHING_NEW"
        await control.post("/frame", text="{")
        assert await websocket.get_message() == "{"
        await control.post("/streams", action="expire_listen_key")
        assert (await next_event(websocket))["e"] == "listenKeyExpired"
        assert (await control.post("/streams", action="reset"))["connections"] == 0
