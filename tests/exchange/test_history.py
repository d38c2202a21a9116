"""Account history over a scripted exchange: pages, weeks, rows that cannot be read. On virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio

from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.positions.position import Leg
from brain.reconciliation.evidence import HistoricOrder, Trade
from exchange import endpoints
from exchange.errors import ExchangeRejected, ExchangeUnavailable, RateLimited
from exchange.history_protocol import AccountHistory, TradesPart
from tests.exchange.scripted import EPOCH_MS, Answers, ScriptedRest
from tests.virtual_time import virtual_time

pytestmark = virtual_time

BTC = Symbol("BTCUSDT")
TRADES, ORDERS, FORCED, ORDER = (
    "/fapi/v1/userTrades",
    "/fapi/v1/allOrders",
    "/fapi/v1/forceOrders",
    "/fapi/v1/order",
)
WEEK_MS = 7 * 24 * 3600 * 1000
PAGE = 1000


def trade_row(trade_id: int, time: int, **changes: object) -> dict[str, Any]:
    row = {
        "symbol": "BTCUSDT",
        "id": trade_id,
        "orderId": 7,
        "side": "SELL",
        "positionSide": "BOTH",
        "qty": "0.250",
        "price": "100.5",
        "time": time,
    }
    return {**row, **changes}


def order_row(order_id: int, **changes: object) -> dict[str, Any]:
    row = {
        "symbol": "BTCUSDT",
        "orderId": order_id,
        "clientOrderId": f"web_{order_id}",
        "status": "FILLED",
        "executedQty": "1.5",
        "side": "BUY",
        "positionSide": "LONG",
        "type": "MARKET",
        "origType": "MARKET",
        "time": EPOCH_MS,
        "updateTime": EPOCH_MS + 7,
    }
    return {**row, **changes}


class TradeListing(Answers):
    """An exchange with these trades, whose full page of a span has the newest trades, or the oldest.

    `ids_of_a_week`: a request by trade id shows the last 7 days only.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], *, newest: bool = False, ids_of_a_week: bool = True
    ) -> None:
        super().__init__({})
        self.rows = sorted(rows, key=lambda row: row["id"])
        self.newest = newest
        self.ids_of_a_week = ids_of_a_week
        self.requests: list[dict[str, str]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != TRADES:
            return super().answer(request)
        asked = dict(request.url.params)
        self.requests.append(asked)
        limit = int(asked["limit"])
        if "fromId" in asked:
            assert not {"startTime", "endTime"} & asked.keys()
            rows = [row for row in self.rows if row["id"] >= int(asked["fromId"])]
            if self.ids_of_a_week:
                rows = [row for row in rows if row["time"] >= now_ms() - WEEK_MS]
            return httpx.Response(200, json=rows[:limit])
        begins = int(asked["startTime"])
        ends = int(asked.get("endTime", now_ms()))
        if ends - begins > WEEK_MS:
            return httpx.Response(200, json=[])
        rows = [row for row in self.rows if begins <= row["time"] <= ends]
        return httpx.Response(200, json=rows[-limit:] if self.newest else rows[:limit])


def now_ms() -> int:
    return EPOCH_MS + round(trio.current_time() * 1000)


def history_of(network: Answers, *, page: int = PAGE) -> AccountHistory:
    return ScriptedRest({}, network=network).rest.account_history(page=page)


def history_with(path: str, answer: Callable[[], httpx.Response]) -> AccountHistory:
    return history_of(Answers({path: answer}))


async def all_trades(history: AccountHistory, since_ms: int) -> list[Trade]:
    """Read every part, and each trade once."""
    found: dict[int, Trade] = {}
    parts = [TradesPart(since_ms)]
    while parts:
        page = await history.trades(BTC, parts.pop())
        found.update((trade.trade_id, trade) for trade in page.trades)
        parts += page.rest
    return [found[trade_id] for trade_id in sorted(found)]


async def test_a_trade_has_its_order_side_leg_quantity_and_time() -> None:
    network = TradeListing([trade_row(5, now_ms() - 10, positionSide="SHORT")])
    (trade,) = await all_trades(history_of(network), now_ms() - 1000)
    assert trade == Trade(5, OrderId("7"), "SELL", Leg.SHORT, Decimal("0.250"), now_ms() - 10)


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 35])
@pytest.mark.parametrize("in_one_ms", [1, 4])
async def test_every_trade_since_a_time_is_read_whichever_trades_a_full_page_has(
    newest: bool, count: int, in_one_ms: int
) -> None:
    since_ms = now_ms() - 1000
    before = [trade_row(id_, since_ms - 40 + id_) for id_ in range(40)]
    since = [trade_row(100 + id_, since_ms + id_ // in_one_ms) for id_ in range(count)]
    network = TradeListing([*before, *since], newest=newest)
    trades = await all_trades(history_of(network, page=10), since_ms)
    assert [trade.trade_id for trade in trades] == [100 + id_ for id_ in range(count)]
    assert len(network.requests) <= 1 + 2 * (count // 9)


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("days", [6, 7, 8, 20, 89])
async def test_a_span_of_more_than_a_week_is_read_week_by_week(newest: bool, days: int) -> None:
    day_ms = 24 * 3600 * 1000
    began_ms = now_ms() - days * day_ms
    network = TradeListing([trade_row(day, began_ms + day * day_ms) for day in range(days)], newest=newest)
    trades = await all_trades(history_of(network), began_ms)
    assert [trade.trade_id for trade in trades] == list(range(days))
    assert len(network.requests) == 1 + days // 7


async def test_a_list_that_cannot_be_read_to_its_end_is_no_answer() -> None:
    crowded = TradeListing([trade_row(id_, now_ms() - 100) for id_ in range(11)], newest=True)
    with pytest.raises(ExchangeUnavailable, match="within one millisecond"):
        await all_trades(history_of(crowded, page=10), now_ms() - 1000)
    old_ms = now_ms() - 8 * 24 * 3600 * 1000
    old = TradeListing([trade_row(id_, old_ms + id_) for id_ in range(10)])
    with pytest.raises(ExchangeUnavailable, match="a week that is over"):
        await all_trades(history_of(old, page=10), old_ms)
    with pytest.raises(ExchangeUnavailable, match="90 days"):
        await all_trades(history_of(old), now_ms() - 91 * 24 * 3600 * 1000)


async def test_an_exchange_that_ignores_what_was_asked_for_gives_no_answer() -> None:
    rows = [trade_row(id_, now_ms() - 100) for id_ in range(10)]
    history = history_with(TRADES, lambda: httpx.Response(200, json=rows))
    with pytest.raises(ExchangeUnavailable, match="before the time"):
        await history.trades(BTC, TradesPart(now_ms() - 50))
    with pytest.raises(ExchangeUnavailable, match="before the one"):
        await history.trades(BTC, TradesPart(0, from_id=5))


@pytest.mark.parametrize(
    "wrong",
    [
        {"qty": "-1"},
        {"qty": "NaN"},
        {"qty": None},
        {"side": "HOLD"},
        {"positionSide": ""},
        {"time": None},
        {"id": "x"},
        {"orderId": None},
        {"symbol": "ETHUSDT"},
    ],
)
async def test_one_trade_that_cannot_be_read_makes_the_answer_unreadable(wrong: dict[str, object]) -> None:
    rows = [trade_row(1, now_ms()), {**trade_row(2, now_ms()), **wrong}]
    with pytest.raises(ExchangeUnavailable, match="unreadable answer"):
        await all_trades(history_of(Answers({TRADES: lambda: httpx.Response(200, json=rows)})), now_ms())


@pytest.mark.parametrize(
    ("changes", "conditional"),
    [
        ({}, False),
        ({"origType": "STOP_MARKET"}, True),
        ({"type": "TRAILING_STOP_MARKET"}, True),
        ({"type": "LIMIT", "origType": "TAKE_PROFIT"}, True),
        ({"type": "LIQUIDATION", "origType": None}, False),
        ({"status": "NEW_ADL", "clientOrderId": "adl_autoclose"}, False),
    ],
)
async def test_an_order_is_conditional_by_its_type_or_its_first_type(
    changes: dict[str, object], conditional: bool
) -> None:
    row = {name: value for name, value in order_row(8, **changes).items() if value is not None}
    history = history_with(ORDERS, lambda: httpx.Response(200, json=[order_row(9), row]))
    read, other = await history.orders(BTC, from_id=OrderId("8"))
    name = ClientOrderId(str(row["clientOrderId"]))
    assert read == HistoricOrder(
        OrderId("8"), name, "BUY", Leg.LONG, Decimal("1.5"), conditional, EPOCH_MS, EPOCH_MS + 7
    )
    assert other.order_id == "9"


@pytest.mark.parametrize(
    "wrong",
    [
        {"executedQty": "-1"},
        {"executedQty": "1e300"},
        {"time": None},
        {"updateTime": None},
        {"side": None},
        {"positionSide": "NONE"},
        {"clientOrderId": None},
        {"symbol": "ETHUSDT"},
    ],
)
async def test_one_order_that_cannot_be_read_makes_the_answer_unreadable(wrong: dict[str, object]) -> None:
    rows = [order_row(7), order_row(8, **wrong)]
    answers = {path: lambda: httpx.Response(200, json=rows) for path in (ORDERS, FORCED)}
    history = history_of(Answers({**answers, ORDER: lambda: httpx.Response(200, json=rows[1])}))
    with pytest.raises(ExchangeUnavailable, match="unreadable answer"):
        await history.orders(BTC, from_id=OrderId("7"))
    with pytest.raises(ExchangeUnavailable, match="unreadable answer"):
        await history.forced_orders(BTC, since_ms=now_ms())
    with pytest.raises(ExchangeUnavailable, match="unreadable answer"):
        await history.order(BTC, OrderId("8"))


async def test_an_order_that_is_not_shown_is_none_and_another_refusal_is_raised() -> None:
    def refusing(code: int) -> AccountHistory:
        return history_with(ORDER, lambda: httpx.Response(400, json={"code": code, "msg": "no"}))

    assert await refusing(-2013).order(BTC, OrderId("8")) is None
    with pytest.raises(ExchangeRejected):
        await refusing(-1121).order(BTC, OrderId("8"))
    history = history_with(ORDER, lambda: httpx.Response(200, json=order_row(8)))
    assert (await history.order(BTC, OrderId("8"))) is not None
    with pytest.raises(ExchangeUnavailable, match="another order"):
        await history.order(BTC, OrderId("9"))


async def test_each_read_is_one_attempt_of_the_weight_that_is_named() -> None:
    scripted = ScriptedRest({path: lambda: httpx.Response(500) for path in (TRADES, ORDERS, FORCED, ORDER)})
    history = scripted.rest.account_history()
    await scripted.rest.synchronise_clock()
    reads: list[tuple[str, int, Callable[[], Any]]] = [
        (TRADES, history.weights.trades, lambda: history.trades(BTC, TradesPart(now_ms()))),
        (ORDERS, history.weights.orders, lambda: history.orders(BTC, from_id=OrderId("1"))),
        (FORCED, history.weights.forced_orders, lambda: history.forced_orders(BTC, since_ms=now_ms())),
        (ORDER, history.weights.order, lambda: history.order(BTC, OrderId("1"))),
    ]
    assert history.weights == (5, 5, 20, 1)
    for path, weight, read in reads:
        before = scripted.budget.own_used
        with pytest.raises(ExchangeUnavailable):
            await read()
        assert scripted.budget.own_used - before == weight
        assert len(scripted.network.times(path)) == 1


async def test_the_weights_are_those_that_the_exchange_counts() -> None:
    used = iter(range(0, 1000, 30))
    scripted = ScriptedRest(
        {FORCED: lambda: httpx.Response(200, json=[], headers={"X-MBX-USED-WEIGHT-1M": str(next(used))})}
    )
    history = scripted.rest.account_history()
    for _ in range(4):
        await history.forced_orders(BTC, since_ms=now_ms())
    assert history.weights.forced_orders == 30 > endpoints.FORCE_ORDERS.weight


async def test_a_ban_is_raised_to_the_caller() -> None:
    banned = httpx.Response(418, headers={"Retry-After": "100"})
    with pytest.raises(RateLimited):
        await history_with(TRADES, lambda: banned).trades(BTC, TradesPart(now_ms()))


async def test_forced_orders_of_an_older_time_are_asked_for_with_an_end() -> None:
    asked: list[dict[str, str]] = []

    class Forced(Answers):
        def answer(self, request: httpx.Request) -> httpx.Response:
            if request.url.path != FORCED:
                return super().answer(request)
            asked.append(dict(request.url.params))
            return httpx.Response(200, json=[])

    history = history_of(Forced({}))
    for days in (1, 8):
        await history.forced_orders(BTC, since_ms=now_ms() - days * 24 * 3600 * 1000)
    recent, old = asked
    assert "endTime" not in recent
    assert int(old["endTime"]) - int(old["startTime"]) == WEEK_MS
    assert {each["limit"] for each in asked} == {"100"}
