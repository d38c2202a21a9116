"""Rows with values that no row should have, in `positionRisk`, `exchangeInfo` and the mark prices."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from trio_websocket import open_websocket_url

from simulator import RestApi, SimulatedExchange
from simulator.external_events import move_position
from tests.simulator.clients import HttpClient, ask, ask_again, decoded

POSITIONS = "/fapi/v2/positionRisk"
INFO = "/fapi/v1/exchangeInfo"
LONG_PRICE = "100.666666666666666666666667"


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({"markPrice": ""}, '"markPrice":""'),
        ({"markPrice": "NaN"}, '"markPrice":"NaN"'),
        ({"markPrice": "<raw>NaN"}, '"markPrice":NaN'),
        ({"markPrice": None}, '"markPrice":null'),
        ({"leverage": None}, '"leverage":null'),
        ({"leverage": 20}, '"leverage":20'),
        ({"updateTime": "1700000000000"}, '"updateTime":"1700000000000"'),
        ({"updateTime": None}, '"updateTime":null'),
        ({"positionSide": "SIDEWAYS"}, '"positionSide":"SIDEWAYS"'),
        ({"entryPrice": LONG_PRICE}, f'"entryPrice":"{LONG_PRICE}"'),
        ({"entryPrice": "<raw>1e999"}, '"entryPrice":1e999'),
        ({"somethingNew": [1, {"a": "b"}]}, '"somethingNew":[1,{"a":"b"}]'),
        ({"<row>": None}, "null"),
    ],
)
@pytest.mark.parametrize("path", [POSITIONS, "/fapi/v3/positionRisk"])
def test_a_row_of_positions_can_show_anything_and_the_others_stay(
    exchange: SimulatedExchange, path: str, changes: dict[str, Any], written: str
) -> None:
    api = RestApi(exchange)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        move_position(exchange, symbol, target=Decimal(1))
    before = ask_again(api, exchange, "GET", path).body
    exchange.odd_rows["ETHUSDT"] = changes
    body = ask_again(api, exchange, "GET", path).body
    assert body != before
    assert written in body.decode()
    assert b'"symbol":"BTCUSDT"' in body
    one = ask_again(api, exchange, "GET", path, symbol="ETHUSDT").body
    assert written in one.decode()
    exchange.odd_rows.clear()
    assert ask_again(api, exchange, "GET", path).body == before


@pytest.mark.parametrize("field", ["leverage", "updateTime", "markPrice", "positionAmt", "symbol"])
def test_a_row_of_positions_can_lack_a_field(exchange: SimulatedExchange, field: str) -> None:
    exchange.odd_rows["BTCUSDT"] = {field: "<missing>"}
    (row,) = decoded(ask(exchange, "GET", POSITIONS, symbol="BTCUSDT"))
    assert field not in row
    assert "notional" in row


def _filters(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["filterType"]: each for each in row["filters"]}


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"filters": "<missing>"}, lambda row: "filters" not in row),
        ({"status": "<missing>"}, lambda row: "status" not in row),
        ({"contractType": "TRADIFI_PERPETUAL"}, lambda row: row["contractType"] == "TRADIFI_PERPETUAL"),
        ({"LOT_SIZE.stepSize": ""}, lambda row: _filters(row)["LOT_SIZE"]["stepSize"] == ""),
        ({"LOT_SIZE.stepSize": None}, lambda row: _filters(row)["LOT_SIZE"]["stepSize"] is None),
        (
            {"MARKET_LOT_SIZE.maxQty": "1e15"},
            lambda row: _filters(row)["MARKET_LOT_SIZE"]["maxQty"] == "1e15",
        ),
        ({"LOT_SIZE.": "<missing>"}, lambda row: "LOT_SIZE" not in _filters(row)),
    ],
)
def test_a_symbol_of_the_exchange_information_can_show_anything(
    exchange: SimulatedExchange, changes: dict[str, Any], holds: Callable[[dict[str, Any]], bool]
) -> None:
    api = RestApi(exchange)

    def bitcoin() -> dict[str, Any]:
        row: dict[str, Any]
        row, *others = decoded(ask_again(api, exchange, "GET", INFO))["symbols"]
        assert [other["status"] for other in others] == ["TRADING"] * 568
        return row

    before = bitcoin()
    assert not holds(before)
    exchange.odd_symbols["BTCUSDT"] = changes
    assert holds(bitcoin())
    exchange.odd_symbols.clear()
    assert bitcoin() == before


async def test_a_mark_price_can_show_anything(client: HttpClient) -> None:
    await odd(client, "markPrice", "ETHUSDT", {"p": "<raw>NaN", "T": "<missing>"})
    async with open_websocket_url(f"{client.ws_url}/market/ws/!markPrice@arr@1s") as prices:
        frame = await prices.get_message()
        assert '"s":"ETHUSDT","p":NaN,' in frame
        await odd(client, "markPrice", "ETHUSDT", None)
        while "NaN" in frame:
            frame = await prices.get_message()
    assert len(msgspec.json.decode(frame)) == 572


async def test_oddities_are_switched_from_outside(client: HttpClient) -> None:
    await odd(client, "positionRisk", "BTCUSDT", {"markPrice": None})
    await odd(client, "exchangeInfo", "BTCUSDT", {"status": "<missing>"})
    (row,) = (await client.signed("GET", POSITIONS, symbol="BTCUSDT")).json()
    assert row["markPrice"] is None
    assert "status" not in (await client.http.get(INFO)).json()["symbols"][0]
    for where in ("positionRisk", "exchangeInfo"):
        await odd(client, where, "BTCUSDT", None)
    (row,) = (await client.signed("GET", POSITIONS, symbol="BTCUSDT")).json()
    assert row["markPrice"] == "0.00000000"
    assert (await client.http.get(INFO)).json()["symbols"][0]["status"] == "TRADING"


async def odd(client: HttpClient, where: str, symbol: str, changes: dict[str, Any] | None) -> None:
    body = {"where": where, "symbol": symbol, "changes": changes}
    (await client.http.post("/simulator/odd", json=body)).raise_for_status()
