from __future__ import annotations

from decimal import Decimal

import httpx
import msgspec
import pytest

from brain.positions.position import Leg
from brain.symbols.symbol_rules import SymbolRules
from brain.symbols.universe import ListedContract
from exchange import positions_wire, symbols_wire, wire
from exchange.endpoints import POSITION_RISK
from exchange.errors import ExchangeUnavailable
from exchange.protocol import PositionRow, PositionsRead
from tests.exchange.scripted import ScriptedRest
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def risk(symbol: str, leg: str, amount: str, **changes: str | int) -> dict[str, str | int]:
    row: dict[str, str | int] = {
        "symbol": symbol,
        "positionAmt": amount,
        "entryPrice": "22185.2",
        "breakEvenPrice": "0.0",
        "markPrice": "21123.05052574",
        "leverage": "4",
        "positionSide": leg,
        "updateTime": 1_655_217_461_579,
    }
    return {**row, **changes}


def rows_of(*rows: dict[str, str | int]) -> list[tuple[str, Leg, Decimal]]:
    read, unreadable = read_rows(msgspec.json.encode(rows))
    assert not unreadable
    return [(row.symbol, row.position.leg, row.position.amount) for row in read]


def read_rows(body: bytes) -> tuple[tuple[PositionRow, ...], dict[str, str]]:
    unreadable: dict[str, str] = {}
    raw = wire.Body(body).read(wire.ROWS)
    rows = positions_wire.position_rows(raw, 1, unreadable)
    return positions_wire.tradable_rows(rows, unreadable), unreadable


def symbol_info(symbol: str = "BTCUSDT", /, **changes: object) -> dict[str, object]:
    return {
        "symbol": symbol,
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "filters": [LOT, MARKET],
        **changes,
    }


def read_symbols(*symbols: object) -> tuple[dict[str, SymbolRules], dict[str, str]]:
    body = wire.Body(msgspec.json.encode({"symbols": symbols})).read(symbols_wire.EXCHANGE_INFO)
    unreadable: dict[str, str] = {}
    return symbols_wire.symbol_rules(body.symbols, unreadable), unreadable


def rules(*filters: dict[str, str], status: str = "TRADING") -> SymbolRules | None:
    read, unreadable = read_symbols(symbol_info(status=status, filters=filters))
    assert not unreadable
    return read.get("BTCUSDT")


LOT = {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"}
MARKET = {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.01", "minQty": "0.02", "maxQty": "120"}
PRICE = {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "2"}


def test_a_flat_both_row_beside_legs_is_left_out_and_one_with_an_amount_is_not() -> None:
    legs = (risk("BTCUSDT", "LONG", "0.001"), risk("BTCUSDT", "SHORT", "0"))
    assert rows_of(risk("BTCUSDT", "BOTH", "0"), *legs) == rows_of(*legs)
    assert len(rows_of(risk("BTCUSDT", "BOTH", "1"), *legs)) == 3
    assert rows_of(risk("ETHUSDT", "BOTH", "0"), *legs)[0][0] == "ETHUSDT"


UNREADABLE_NUMBERS: list[object] = ["NaN", "-Infinity", "1e15", "1e-19", "x", "", None, [], True]


@pytest.mark.parametrize("value", UNREADABLE_NUMBERS)
def test_a_row_without_a_readable_amount_makes_its_symbol_unreadable_with_all_legs_and_no_other(
    value: object,
) -> None:
    bad = {**risk("BTCUSDT", "LONG", "1"), "positionAmt": value}
    rows = [risk("ETHUSDT", "BOTH", "1"), bad, risk("BTCUSDT", "SHORT", "-2")]
    read, unreadable = read_rows(msgspec.json.encode(rows))
    assert [row.symbol for row in read] == ["ETHUSDT"]
    assert list(unreadable) == ["BTCUSDT"] and unreadable["BTCUSDT"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("positionSide", "SIDEWAYS"),
        ("positionSide", None),
        ("updateTime", None),
        ("updateTime", "soon"),
        ("updateTime", 1.5),
        ("updateTime", "1" * 17),
    ],
)
def test_a_row_without_a_readable_side_or_time_makes_its_symbol_unreadable(field: str, value: object) -> None:
    rows = [{**risk("BTCUSDT", "BOTH", "1"), field: value}, risk("ETHUSDT", "BOTH", "1")]
    read, unreadable = read_rows(msgspec.json.encode(rows))
    assert ([row.symbol for row in read], list(unreadable)) == (["ETHUSDT"], ["BTCUSDT"])


@pytest.mark.parametrize("field", ["symbol", "positionAmt", "positionSide", "updateTime"])
def test_a_row_that_lacks_what_decides_makes_its_symbol_unreadable(field: str) -> None:
    bad = risk("BTCUSDT", "BOTH", "1")
    del bad[field]
    read, unreadable = read_rows(msgspec.json.encode([bad, risk("ETHUSDT", "BOTH", "1")]))
    assert [row.symbol for row in read] == ["ETHUSDT"]
    assert list(unreadable) == ["" if field == "symbol" else "BTCUSDT"]


def test_a_time_of_update_that_comes_as_text_is_read() -> None:
    rows = [risk("BTCUSDT", "BOTH", "1", updateTime="1700000000000")]
    (read,), unreadable = read_rows(msgspec.json.encode(rows))
    assert (read.position.update_time_ms, unreadable) == (1_700_000_000_000, {})


@pytest.mark.parametrize("field", ["entryPrice", "markPrice", "leverage"])
@pytest.mark.parametrize("value", [*UNREADABLE_NUMBERS, "100.666666666666666666666667"])
def test_an_unreadable_price_or_leverage_is_unknown_and_refuses_nothing(field: str, value: object) -> None:
    rows = [{**risk("BTCUSDT", "BOTH", "1"), field: value}]
    (read,), unreadable = read_rows(msgspec.json.encode(rows))
    assert not unreadable
    assert read.position.amount == 1
    shown = {"entryPrice": read.position.entry_price, "markPrice": read.mark_price, "leverage": read.leverage}
    assert [name for name, number in shown.items() if number is None] == [field]


@pytest.mark.parametrize("field", ["entryPrice", "markPrice", "leverage"])
def test_a_missing_price_or_leverage_is_unknown(field: str) -> None:
    row = risk("BTCUSDT", "BOTH", "1")
    del row[field]
    (read,), unreadable = read_rows(msgspec.json.encode([row]))
    assert not unreadable
    assert read.position.amount == 1


def test_a_mark_price_of_zero_is_unknown() -> None:
    (read,), _ = read_rows(msgspec.json.encode([risk("BTCUSDT", "BOTH", "0", markPrice="0.00000000")]))
    assert read.mark_price is None


@pytest.mark.parametrize("row", [b"17", b"null", b'"x"', b"[]", b"{}", b'{"symbol":"\xff"}'])
def test_a_row_that_names_no_symbol_is_reported_without_a_name(row: bytes) -> None:
    good = msgspec.json.encode(risk("ETHUSDT", "BOTH", "1"))
    read, unreadable = read_rows(b"[" + row + b"," + good + b"]")
    assert ([each.symbol for each in read], list(unreadable)) == (["ETHUSDT"], [""])


@pytest.mark.parametrize("body", [b"[" * 1_000, b"[" * 100_000, b'{"a":' * 20_000, b"\xff", b"<html>"])
@pytest.mark.parametrize("decoder", [wire.ROWS, wire.ERROR, wire.SERVER_TIME, symbols_wire.EXCHANGE_INFO])
def test_deeply_nested_json_is_unreadable_like_any_other_text(
    body: bytes, decoder: msgspec.json.Decoder[object]
) -> None:
    with pytest.raises(ExchangeUnavailable):
        wire.Body(body).read(decoder)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": None},
        {"filters": None},
        {"filters": [{**LOT, "stepSize": ""}]},
        {"filters": [{**LOT, "stepSize": None}]},
        {"filters": [{**LOT, "maxQty": "1000000000000000"}]},
        {"filters": [{**LOT, "minQty": "NaN"}]},
    ],
)
def test_a_symbol_with_unreadable_rules_is_left_out_and_named(changes: dict[str, object]) -> None:
    read, unreadable = read_symbols(symbol_info(**changes), symbol_info("ETHUSDT"))
    assert (list(read), list(unreadable)) == (["ETHUSDT"], ["BTCUSDT"])


@pytest.mark.parametrize("field", ["status", "filters", "symbol"])
def test_a_symbol_without_rules_is_left_out_and_named(field: str) -> None:
    bad = symbol_info()
    del bad[field]
    read, unreadable = read_symbols(bad, symbol_info("ETHUSDT"))
    assert list(read) == ["ETHUSDT"]
    assert list(unreadable) == ["" if field == "symbol" else "BTCUSDT"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"deliveryDate": None}, {"delivery_date": 0}),
        ({"deliveryDate": 1.5}, {"delivery_date": 0}),
        ({"deliveryDate": "soon"}, {"delivery_date": 0}),
        ({"deliveryDate": "1800000000000"}, {"delivery_date": 1_800_000_000_000}),
        ({"onboardDate": None}, {"onboard_date": 0}),
        ({"contractType": None}, {"contract_type": ""}),
        ({"quoteAsset": 5}, {"quote_asset": ""}),
    ],
)
def test_a_contract_is_listed_although_one_of_its_fields_cannot_be_read(
    change: dict[str, object], expected: dict[str, object]
) -> None:
    row = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "quoteAsset": "USDT",
        "onboardDate": 5,
        "deliveryDate": 7,
    }
    whole = ListedContract("BTCUSDT", "TRADING", "PERPETUAL", "USDT", 5, 7)
    rows = [msgspec.Raw(msgspec.json.encode(each)) for each in (row, row | change, {"symbol": "X"})]
    read = list(symbols_wire.contracts(rows))
    assert read == [whole, msgspec.structs.replace(whole, **expected)]


def test_unreadable_rate_limits_leave_the_symbols_readable() -> None:
    raw = msgspec.json.encode({"symbols": [symbol_info()], "rateLimits": [{"limit": "many"}]})
    body = wire.Body(raw).read(symbols_wire.EXCHANGE_INFO)
    assert (body.weight_per_min, len(body.symbols)) == (None, 1)


def test_an_unreadable_volume_is_left_out() -> None:
    rows = msgspec.json.encode(
        [{"symbol": "BTCUSDT", "quoteVolume": ""}, {"symbol": "ETHUSDT", "quoteVolume": "5"}]
    )
    read = wire.Body(rows).read(wire.ROWS)
    assert dict(wire.day_volumes(read)) == {"ETHUSDT": 5}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("name", ["markPrice", "positionAmt"])
def test_a_number_that_json_does_not_have_affects_its_row_only(number: str, name: str) -> None:
    good = msgspec.json.encode(risk("BTCUSDT", "BOTH", "1"))
    bad = msgspec.json.encode(risk("ETHUSDT", "BOTH", "2", **{name: "0"}))
    bad = bad.replace(f'"{name}":"0"'.encode(), f'"{name}": {number} '.encode())
    read, unreadable = read_rows(b"[" + bad + b"," + good + b"]")
    decoration = name == "markPrice"
    assert [row.symbol for row in read] == (["ETHUSDT", "BTCUSDT"] if decoration else ["BTCUSDT"])
    assert list(unreadable) == ([] if decoration else ["ETHUSDT"])


def test_market_orders_follow_the_market_lot_size() -> None:
    assert rules(PRICE, LOT, MARKET) == SymbolRules(
        "BTCUSDT", True, Decimal("0.01"), Decimal("0.02"), Decimal(120)
    )


def test_a_market_step_of_zero_means_the_lot_size_step() -> None:
    read = rules(LOT, {**MARKET, "stepSize": "0.000"})
    assert read == SymbolRules("BTCUSDT", True, Decimal("0.001"), Decimal("0.02"), Decimal(120))


def test_without_a_market_lot_size_the_lot_size_holds_and_without_either_there_are_no_rules() -> None:
    assert rules(LOT) == SymbolRules("BTCUSDT", True, Decimal("0.001"), Decimal("0.001"), Decimal(1000))
    assert rules(PRICE) is None


@pytest.mark.parametrize(
    ("least", "read"),
    [("5", Decimal(5)), ("5.0", Decimal(5)), ("0", Decimal(0)), ("", None), ("NaN", None), ("1e40", None)],
)
def test_the_least_notional_is_read_and_an_unreadable_one_leaves_the_symbol(
    least: str, read: Decimal | None
) -> None:
    found = rules(LOT, {"filterType": "MIN_NOTIONAL", "notional": least})
    assert found is not None and found.min_notional == read


def test_without_a_filter_there_is_no_least_notional() -> None:
    found = rules(LOT, MARKET)
    assert found is not None and found.min_notional == 0


@pytest.mark.parametrize("status", ["SETTLING", "PENDING_TRADING", "CLOSE", "PRE_DELIVERING"])
def test_only_the_status_trading_trades(status: str) -> None:
    read = rules(LOT, MARKET, status=status)
    assert read is not None
    assert not read.trading


async def read_positions(*bodies: bytes) -> PositionsRead:
    """Read all positions of an exchange that answers with these, one after the other."""
    answers = iter(bodies)
    scripted = ScriptedRest({POSITION_RISK.path: lambda: httpx.Response(200, content=next(answers))})
    return await scripted.rest.positions()


async def test_an_answer_that_is_no_array_is_asked_for_once_more() -> None:
    right, wrong = msgspec.json.encode([risk("BTCUSDT", "BOTH", "0")]), b'{"symbol": "BTCUSDT"}'
    assert [row.symbol for row in (await read_positions(wrong, right)).rows] == ["BTCUSDT"]


async def test_one_unreadable_row_of_569_leaves_568_symbols() -> None:
    rows: list[dict[str, object]] = [{**risk(f"S{number}USDT", "BOTH", "0")} for number in range(569)]
    rows[300]["updateTime"] = None
    shown = await read_positions(msgspec.json.encode(rows))
    assert len(shown.rows) == 568
    assert list(shown.unreadable) == ["S300USDT"]


async def test_the_untradable_row_of_hedge_mode_is_left_out_wherever_its_legs_stand() -> None:
    others = [risk(f"S{number}USDT", "LONG", "0") for number in range(250)]
    untradable, *legs = [risk("BTCUSDT", leg, "0") for leg in ("BOTH", "LONG", "SHORT")]
    shown = await read_positions(msgspec.json.encode([untradable, *others, *legs]))
    assert [row.position.leg for row in shown.rows if row.symbol == "BTCUSDT"] == [Leg.LONG, Leg.SHORT]
    assert len(shown.rows) == 252
