"""Positions where the exchange has removed positionRisk v2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import httpx
import msgspec
import pytest
import trio

from brain.positions.position import Leg
from exchange.errors import EndpointGone
from tests.exchange.scripted import ScriptedRest
from tests.virtual_time import virtual_time

pytestmark = virtual_time

V2, V3, CONFIG = "/fapi/v2/positionRisk", "/fapi/v3/positionRisk", "/fapi/v1/symbolConfig"
INFO, MODE = "/fapi/v1/exchangeInfo", "/fapi/v1/positionSide/dual"

Answer = Callable[[], httpx.Response]


def as_json(content: object, status: int = 200) -> Answer:
    body = msgspec.json.encode(content)
    return lambda: httpx.Response(status, content=body)


def v3_row(symbol: str, amount: str, leg: str = "BOTH") -> dict[str, object]:
    return {
        "symbol": symbol,
        "positionSide": leg,
        "positionAmt": amount,
        "entryPrice": "100.5",
        "markPrice": "101",
        "updateTime": 1_700_000_000_000,
    }


def listed(*symbols: str) -> Answer:
    lot = {"filterType": "LOT_SIZE", "stepSize": "0.1", "minQty": "0.1", "maxQty": "100"}
    return as_json({"symbols": [{"symbol": s, "status": "TRADING", "filters": [lot]} for s in symbols]})


def without_v2(rows: object, **changes: Answer) -> ScriptedRest:
    answers: Mapping[str, Answer] = {
        V2: lambda: httpx.Response(404),
        V3: as_json(rows),
        CONFIG: as_json([{"symbol": "BTCUSDT", "leverage": 20}, {"symbol": "ETHUSDT", "leverage": 5}]),
        INFO: listed("BTCUSDT", "ETHUSDT"),
        MODE: as_json({"dualSidePosition": False}),
        **changes,
    }
    return ScriptedRest(answers)


GONE = [
    lambda: httpx.Response(404),
    lambda: httpx.Response(410, content=b"<html>gone</html>"),
    as_json({"code": -5000, "msg": "Path /fapi/v2/positionRisk, Method GET is invalid"}, 404),
    as_json({"code": -5000, "msg": "Path is invalid"}, 400),
]


@pytest.mark.parametrize("gone", GONE)
async def test_v3_is_read_with_flat_rows_and_leverages_once_v2_is_gone(gone: Answer) -> None:
    scripted = without_v2([v3_row("BTCUSDT", "-2")])
    scripted.network.answers[V2] = gone
    for _ in range(3):
        read = await scripted.rest.positions()
    rows = {row.symbol: row for row in read.rows}
    btc, eth = rows["BTCUSDT"], rows["ETHUSDT"]
    assert (btc.position.leg, btc.position.amount, btc.leverage) == (Leg.BOTH, Decimal(-2), Decimal(20))
    assert (btc.position.entry_price, btc.mark_price) == (Decimal("100.5"), Decimal(101))
    assert (eth.position.leg, eth.position.amount, eth.leverage) == (Leg.BOTH, Decimal(0), Decimal(5))
    assert (eth.position.update_time_ms, eth.mark_price) == (0, None)
    assert not read.unreadable
    # Asked once, said once; leverages are not read again.
    assert len(scripted.network.times(V2)) == 1
    assert len(scripted.network.times(CONFIG)) == 1
    assert len(scripted.notices) == 1
    assert scripted.rest.trouble() is None


async def test_flat_symbols_have_both_legs_in_hedge_mode_as_the_rows_or_else_the_account_show() -> None:
    scripted = without_v2([v3_row("BTCUSDT", "2", "LONG"), v3_row("BTCUSDT", "0", "SHORT")])
    read = await scripted.rest.positions()
    assert [r.position.leg for r in read.rows if r.symbol == "ETHUSDT"] == [Leg.LONG, Leg.SHORT]
    assert not scripted.network.times(MODE)
    scripted = without_v2([v3_row("BTCUSDT", "2", "LONG")])
    read = await scripted.rest.positions()
    legs = {r.position.leg: r.position.amount for r in read.rows if r.symbol == "BTCUSDT"}
    assert legs == {Leg.LONG: Decimal(2), Leg.SHORT: Decimal(0)}, "a leg that v3 leaves out is flat"
    scripted = without_v2([])
    scripted.network.answers[MODE] = as_json({"dualSidePosition": True})
    for _ in range(2):
        read = await scripted.rest.positions()
        assert len(read.rows) == 4
    assert len(scripted.network.times(MODE)) == 1


async def test_a_single_symbol_without_a_row_is_flat_if_the_exchange_lists_it() -> None:
    scripted = without_v2([])
    (row,) = (await scripted.rest.positions("ETHUSDT")).rows
    assert (row.symbol, row.position.amount) == ("ETHUSDT", Decimal(0))
    assert (await scripted.rest.positions("NOSUCH")).rows == ()


async def test_an_unreadable_symbol_is_not_taken_for_flat() -> None:
    bad = {**v3_row("ETHUSDT", "1"), "positionAmt": None}
    read = await without_v2([bad, v3_row("BTCUSDT", "1")]).rest.positions()
    assert [row.symbol for row in read.rows] == ["BTCUSDT"]
    assert list(read.unreadable) == ["ETHUSDT"]
    nameless = {**bad, "symbol": None}
    read = await without_v2([nameless, v3_row("BTCUSDT", "1")]).rest.positions()
    assert [row.symbol for row in read.rows] == ["BTCUSDT"]
    assert list(read.unreadable) == [""]


async def test_leverages_are_read_every_ten_minutes_and_are_unknown_where_that_fails() -> None:
    scripted = without_v2([v3_row("BTCUSDT", "1")])
    scripted.network.answers[CONFIG] = as_json({"code": -1000, "msg": "unknown"}, 400)
    read = await scripted.rest.positions()
    assert {row.leverage for row in read.rows} == {None}
    scripted.network.answers[CONFIG] = as_json([{"symbol": "BTCUSDT", "leverage": 7}, {"symbol": "X"}, 5])
    await trio.sleep(601)
    read = await scripted.rest.positions()
    assert [row.leverage for row in read.rows] == [Decimal(7), None]


async def test_both_versions_are_tried_again_while_neither_is_there() -> None:
    scripted = without_v2([])
    scripted.network.answers[V3] = lambda: httpx.Response(404)
    with pytest.raises(EndpointGone):
        await scripted.rest.positions()
    scripted.network.answers[V2] = as_json([{**v3_row("BTCUSDT", "1"), "leverage": "3"}])
    (row,) = (await scripted.rest.positions()).rows
    assert row.leverage == 3
