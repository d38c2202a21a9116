"""Reads of orders and fills: pages, lists that cannot be read, and exact means. On virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import ClientOrderId, OrderId, Symbol
from exchange.errors import ExchangeRejected, ExchangeUnavailable
from exchange.order_counts import OrderCounts
from exchange.order_requests import OrderRequests
from exchange.orders_wire import TradeBody, average_price
from tests.background import background
from tests.exchange.scripted import Answers, ScriptedRest
from tests.virtual_time import virtual_time

pytestmark = virtual_time

BTC = Symbol("BTCUSDT")
ALL_ORDERS = "/fapi/v1/allOrders"


def order_row(order_id: int, time: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "symbol": "BTCUSDT",
        "orderId": order_id,
        "clientOrderId": f"web_{order_id}",
        "status": "FILLED",
        "executedQty": "1",
        "avgPrice": "100.5",
        "side": "BUY",
        "positionSide": "BOTH",
        "time": time,
        "updateTime": time + 5,
    }
    return {**row, **changes}


class Listing(Answers):
    """An exchange with these orders, whose full page has the newest orders, or the oldest."""

    def __init__(self, rows: Sequence[dict[str, object]], *, newest: bool) -> None:
        super().__init__({})
        self.rows = sorted(rows, key=lambda row: int(str(row["orderId"])))
        self.newest = newest
        self.pages = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != ALL_ORDERS:
            return super().answer(request)
        self.pages += 1
        asked = dict(request.url.params)
        limit = int(asked["limit"])
        if "orderId" in asked:
            rows = [row for row in self.rows if int(str(row["orderId"])) >= int(asked["orderId"])]
            return httpx.Response(200, json=rows[:limit])
        ends = int(asked.get("endTime", 10**15))
        rows = [row for row in self.rows if int(asked["startTime"]) <= int(str(row["time"])) <= ends]
        return httpx.Response(200, json=rows[-limit:] if self.newest else rows[:limit])


def entry_of(scripted: ScriptedRest) -> OrderRequests:
    return scripted.rest.order_entry(OrderCounts(scripted.clock, per_10s=240, per_min=960), timeout_sec=5)


def entry_to(network: Answers) -> OrderRequests:
    return entry_of(ScriptedRest({}, network=network))


def entry_with(path: str, answer: Callable[[], httpx.Response]) -> OrderRequests:
    return entry_of(ScriptedRest({path: answer}))


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
async def test_every_order_since_a_time_is_read_whichever_orders_a_full_page_has(
    newest: bool, count: int
) -> None:
    before = [order_row(id_, 900 + id_) for id_ in range(50)]
    since = [order_row(1000 + id_, 2000 + id_ // 3) for id_ in range(count)]
    network = Listing([*before, *since], newest=newest)
    orders = await entry_to(network).orders_since(BTC, 2000)
    assert [order.order_id for order in orders] == [str(1000 + id_) for id_ in range(count)]
    assert network.pages <= 2 * (count // 1000 + 1)


async def test_more_orders_than_can_be_read_are_no_proof_of_absence() -> None:
    network = Listing([order_row(id_, 2000 + id_) for id_ in range(13_000)], newest=False)
    with pytest.raises(ExchangeUnavailable, match="more than 10 pages"):
        await entry_to(network).orders_since(BTC, 2000)
    crowded = Listing([order_row(id_, 2000) for id_ in range(1500)], newest=True)
    with pytest.raises(ExchangeUnavailable, match="oldest orders are not shown"):
        await entry_to(crowded).orders_since(BTC, 2000)


async def test_an_order_of_others_in_an_unknown_state_is_left_out_and_an_own_one_is_not() -> None:
    other = order_row(1, 2000, status="NEW_ADL", clientOrderId="adl_autoclose")
    own = order_row(2, 2001, clientOrderId="p33-1")
    orders = await entry_to(Listing([other, own], newest=True)).orders_since(BTC, 2000)
    assert [order.client_order_id for order in orders] == ["p33-1"]
    for wrong in ({"status": "NEW_ADL"}, {"executedQty": "-1"}, {"executedQty": "NaN"}, {"side": None}):
        network = Listing([{**own, **wrong}], newest=True)
        with pytest.raises(ExchangeUnavailable, match="order 2 cannot be read"):
            await entry_to(network).orders_since(BTC, 2000)
    with pytest.raises(ExchangeUnavailable, match="unreadable answer"):
        await entry_to(Listing([{**own, "clientOrderId": None}], newest=True)).orders_since(BTC, 2000)


async def test_an_order_that_is_not_known_is_none_and_another_refusal_is_raised() -> None:
    def refusing(code: int) -> OrderRequests:
        return entry_with("/fapi/v1/order", lambda: httpx.Response(400, json={"code": code, "msg": "no"}))

    assert await refusing(-2013).find_order(BTC, ClientOrderId("p33-1")) is None
    with pytest.raises(ExchangeRejected):
        await refusing(-1121).find_order(BTC, ClientOrderId("p33-1"))


async def test_an_order_with_another_client_order_id_is_no_answer() -> None:
    entry = entry_with("/fapi/v1/order", lambda: httpx.Response(200, json=order_row(1, 2000)))
    found = await entry.find_order(BTC, ClientOrderId("web_1"))
    assert found is not None
    assert (found.average_price, found.update_ms) == (Decimal("100.5"), 2005)
    with pytest.raises(ExchangeUnavailable, match="another order"):
        await entry.find_order(BTC, ClientOrderId("p33-1"))


@pytest.mark.parametrize("price", ["0", "0.00000", None, "NaN", "-1", ""])
async def test_a_price_that_is_none_is_not_shown_as_one(price: object) -> None:
    row = order_row(1, 2000, avgPrice=price)
    entry = entry_with("/fapi/v1/order", lambda: httpx.Response(200, json=row))
    found = await entry.find_order(BTC, ClientOrderId("web_1"))
    assert found is not None
    assert found.average_price is None


@pytest.mark.parametrize("message", ["Leverage 500 is not valid", "Leverage already exist with 20"])
async def test_a_refused_leverage_is_raised_in_both_of_its_wordings(message: str) -> None:
    refusal = {"code": -4028, "msg": message}
    entry = entry_with("/fapi/v1/leverage", lambda: httpx.Response(400, json=refusal))
    with pytest.raises(ExchangeRejected) as refused:
        await entry.set_leverage(BTC, 20)
    assert (refused.value.code, refused.value.message) == (-4028, message)


@pytest.mark.parametrize(
    ("rows", "leverage"),
    [
        ([{"symbol": "BTCUSDT", "leverage": 20}], 20),
        ([{"symbol": "BTCUSDT", "leverage": "20"}], 20),
        ([{"symbol": "ETHUSDT", "leverage": 20}], None),
        ([{"symbol": "BTCUSDT"}], None),
        ([{"symbol": "BTCUSDT", "leverage": "many"}], None),
        ([{"symbol": "BTCUSDT", "leverage": 2.5}], None),
        ([], None),
    ],
)
async def test_a_leverage_is_read_where_it_is_shown(rows: object, leverage: int | None) -> None:
    entry = entry_with("/fapi/v1/symbolConfig", lambda: httpx.Response(200, json=rows))
    assert await entry.leverage(BTC) == leverage


async def test_the_accounts_limits_on_orders_are_taken_from_exchange_info() -> None:
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 10},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 5},
    ]
    info = {"symbols": [], "rateLimits": limits}
    scripted = ScriptedRest({"/fapi/v1/exchangeInfo": lambda: httpx.Response(200, json=info)})
    entry = entry_of(scripted)
    await scripted.rest.symbol_rules()
    assert sum(entry.reserve_order(closing=False) is None for _ in range(50)) == 8
    assert sum(entry.reserve_order(closing=True) is None for _ in range(50)) == 2
    assert scripted.budget.address_limit_per_min == 2000


async def test_the_connection_for_orders_is_used_every_15_seconds() -> None:
    scripted = ScriptedRest({"/fapi/v1/ping": lambda: httpx.Response(200, json={})})
    began_sec = trio.current_time()
    async with background(entry_of(scripted).keep_connected):
        await trio.sleep(50)
    assert [at - began_sec for at in scripted.network.times("/fapi/v1/ping")] == [0, 15, 30, 45]


async def test_a_ping_that_is_refused_begins_a_ban_and_the_next_ones_wait_for_its_end() -> None:
    banned = httpx.Response(418, headers={"Retry-After": "100"})
    scripted = ScriptedRest({"/fapi/v1/ping": lambda: banned})
    async with background(entry_of(scripted).keep_connected):
        await trio.sleep(80)
        assert scripted.budget.banned_until is not None
    assert len(scripted.network.times("/fapi/v1/ping")) == 1


QUANTITIES = st.decimals("0.001", "1000", places=3)
PRICES = st.decimals("0.00001", "200000", places=5)


@given(st.lists(st.tuples(QUANTITIES, PRICES), min_size=1, max_size=30))
def test_an_average_price_is_the_exact_mean_to_8_decimals(fills: list[tuple[Decimal, Decimal]]) -> None:
    trades = [TradeBody(7, quantity, price) for quantity, price in fills]
    trades.append(TradeBody(8, Decimal(5), Decimal(1)))
    filled = sum((quantity for quantity, _ in fills), Decimal(0))
    mean = average_price(trades, OrderId("7"), filled)
    assert mean is not None
    value = sum((quantity * price for quantity, price in fills), Decimal(0))
    assert abs(mean * filled - value) <= filled * Decimal("0.000000005")
    assert mean.as_tuple().exponent == -8
    assert min(price for _, price in fills) <= mean <= max(price for _, price in fills)
    assert average_price(trades, OrderId("7"), filled + Decimal("0.001")) is None
