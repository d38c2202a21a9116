"""The REST client against the simulator, over real sockets."""

from __future__ import annotations

import logging
import time
from decimal import Decimal

import httpx
import pytest
import trio

from brain.identifiers import OrderId, Symbol
from brain.positions.position import Leg
from exchange.errors import (
    AskLater,
    BudgetExhausted,
    ClockSkewed,
    ExchangeRejected,
    ExchangeUnavailable,
    ListenKeyUnknown,
    RateLimited,
)
from exchange.protocol import Priority
from simulator import RunningSimulator, external_events
from simulator.faults import RestFault
from simulator.orders import MarketOrder
from tests.exchange.parts import Counts, Parts
from tests.exchange.scripted import MemoryNetwork

POSITION_RISK = "/fapi/v2/positionRisk"


def requests_to(simulator: RunningSimulator, path: str | None = None) -> int:
    return len(simulator.exchange.requests.records(path=path))


async def test_one_read_returns_every_symbol_and_its_sending_lies_before_its_truth(
    simulator: RunningSimulator, parts: Parts
) -> None:
    external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal("-0.25"))
    before = parts.clock.now()
    read = await parts.rest.positions()
    rows = {row.symbol: row for row in read.rows}
    assert set(rows) == set(simulator.exchange.listing.symbols)
    truth = simulator.exchange.position("BTCUSDT")
    btc = rows["BTCUSDT"]
    assert (btc.position.leg, btc.position.amount) == (Leg.BOTH, Decimal("-0.25"))
    assert btc.position.update_time_ms == truth.update_time_ms
    assert btc.leverage == 20
    assert btc.mark_price is not None and btc.mark_price > 0
    assert rows["ETHUSDT"].position.amount == 0
    assert before <= read.sent <= read.received <= parts.clock.now()
    assert requests_to(simulator, POSITION_RISK) == 1


async def test_a_single_symbol_can_be_read(simulator: RunningSimulator, parts: Parts) -> None:
    read = await parts.rest.positions("ETHUSDT", priority=Priority.ON_DEMAND)
    assert [row.symbol for row in read.rows] == ["ETHUSDT"]


async def test_both_legs_come_in_hedge_mode(simulator: RunningSimulator, parts: Parts) -> None:
    assert not await parts.rest.hedge_mode()
    simulator.exchange.set_hedge_mode(True)
    assert await parts.rest.hedge_mode()
    external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal("-1"), position_side="SHORT")
    read = await parts.rest.positions("BTCUSDT")
    assert {row.position.leg: row.position.amount for row in read.rows} == {Leg.LONG: 0, Leg.SHORT: -1}


async def test_an_orders_fills_come_with_their_quantities_and_times(
    simulator: RunningSimulator, parts: Parts
) -> None:
    exchange = simulator.exchange
    exchange.first_fill_share = Decimal("0.3")
    order = exchange.place_order(MarketOrder(symbol="BTCUSDT", side="BUY", quantity=Decimal("0.010")))
    exchange.fill_remainder(order)
    trades = await parts.rest.order_trades(Symbol("BTCUSDT"), OrderId(str(order.order_id)))
    assert [trade.quantity for trade in trades] == [Decimal("0.003"), Decimal("0.007")]
    assert trades[0].time_ms < trades[1].time_ms == exchange.position("BTCUSDT").update_time_ms
    assert await parts.rest.order_trades(Symbol("ETHUSDT"), OrderId(str(order.order_id))) == ()


async def test_rules_and_volumes_of_all_symbols(simulator: RunningSimulator, parts: Parts) -> None:
    simulator.exchange.listing.set_status("ETHUSDT", "SETTLING")
    rules = (await parts.rest.symbol_rules()).rules
    assert set(rules) == set(simulator.exchange.listing.symbols)
    assert rules["BTCUSDT"].trading
    assert not rules["ETHUSDT"].trading
    assert all(entry.market_step > 0 for entry in rules.values())
    volumes = await parts.rest.quote_volumes()
    assert volumes["BTCUSDT"] == simulator.exchange.listing.symbols["BTCUSDT"].quote_volume


@pytest.mark.parametrize("fault", ["5xx", "truncated", "reset", "hang"])
async def test_a_read_that_gave_nothing_usable_is_asked_again(
    simulator: RunningSimulator, parts: Parts, fault: RestFault
) -> None:
    await parts.rest.synchronise_clock()
    simulator.exchange.faults.rest_faults_next = [fault]
    asked = parts.clock.now()
    read = await parts.rest.positions("BTCUSDT")
    assert requests_to(simulator, POSITION_RISK) == 2
    # The answered attempt's sending, not the failed one's.
    assert read.sent.monotonic_sec >= asked.monotonic_sec + 0.1


async def test_an_exchange_that_stays_away_is_given_up_after_three_attempts(
    simulator: RunningSimulator, parts: Parts, counts: Counts
) -> None:
    await parts.rest.synchronise_clock()
    simulator.exchange.faults.rest_fault_rates = {"5xx": 1.0}
    with pytest.raises(ExchangeUnavailable):
        await parts.rest.positions()
    assert requests_to(simulator, POSITION_RISK) == 3
    assert parts.budget.own_used == 1 + 3 * 5
    assert await counts.of("p33_rest_requests_total", "positionRisk", "503") == 3


async def test_every_request_ends_in_time(simulator: RunningSimulator) -> None:
    async with Parts(simulator, timeout_sec=0.05).rest as rest:
        simulator.exchange.faults.rest_fault_rates = {"hang": 1.0}
        with trio.fail_after(3), pytest.raises(ExchangeUnavailable):
            await rest.positions()


async def test_an_address_without_a_server_is_unavailable(simulator: RunningSimulator) -> None:
    async with Parts(simulator).rest as rest:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        await listener.aclose()
        rest._transport._client._port = port
        with pytest.raises(ExchangeUnavailable):
            await rest.positions()


@pytest.mark.parametrize(
    ("fault", "asked_sec", "lasts_sec"), [("429", 1, 5), ("429", 30, 30), ("418", 1, 60), ("418", 120, 120)]
)
async def test_a_limit_stops_all_callers_until_the_later_of_retry_after_and_the_shortest_pause(
    simulator: RunningSimulator, parts: Parts, fault: RestFault, asked_sec: int, lasts_sec: int
) -> None:
    await parts.rest.synchronise_clock()
    simulator.exchange.faults.retry_after_sec = asked_sec
    simulator.exchange.faults.ban_sec = asked_sec
    before = parts.clock.now()
    simulator.exchange.faults.rest_faults_next = [fault]
    with pytest.raises(RateLimited) as limited:
        await parts.rest.positions()
    assert parts.bans == [limited.value.until.wall_ms]
    assert limited.value.until.monotonic_sec - before.monotonic_sec == pytest.approx(lasts_sec, abs=1.1)
    asked = requests_to(simulator)
    for call in (parts.rest.positions, parts.rest.create_listen_key, parts.rest.symbol_rules):
        with pytest.raises(RateLimited):
            await call()
    assert requests_to(simulator) == asked
    assert "no requests until" in str(parts.rest.trouble())
    simulator.exchange.weights.ban(simulator.exchange.host_ms(), 0)
    simulator.exchange.weights.banned_until_ms = 0
    parts.clock.ahead_sec += lasts_sec + 1
    assert (await parts.rest.symbol_rules()).rules
    assert parts.rest.trouble() is None


async def test_a_daemon_that_remembers_a_ban_asks_nothing(simulator: RunningSimulator) -> None:
    banned_until_wall_ms = time.time_ns() // 1_000_000 + 60_000
    async with Parts(simulator, banned_until_wall_ms=banned_until_wall_ms).rest as rest:
        with pytest.raises(RateLimited):
            await rest.positions()
    assert simulator.exchange.requests.total == 0


async def test_the_exchanges_own_count_of_weight_holds_requests_back(
    simulator: RunningSimulator, parts: Parts
) -> None:
    simulator.exchange.weights.set_used(simulator.exchange.host_ms(), 2200)
    await parts.rest.synchronise_clock()
    with pytest.raises(BudgetExhausted):
        await parts.rest.positions()
    assert requests_to(simulator, POSITION_RISK) == 0


async def test_retries_stay_inside_the_budget(simulator: RunningSimulator) -> None:
    async with Parts(simulator, share_per_min=13).rest as rest:
        await rest.synchronise_clock()
        simulator.exchange.faults.rest_fault_rates = {"5xx": 1.0}
        with pytest.raises(BudgetExhausted):
            await rest.positions()
        assert requests_to(simulator, POSITION_RISK) == 1


async def test_a_clock_that_is_off_from_the_start_does_no_harm(
    simulator: RunningSimulator, parts: Parts
) -> None:
    simulator.exchange.faults.clock_skew_ms = -3_600_000
    read = await parts.rest.positions("BTCUSDT")
    assert abs(read.rows[0].mark_ts_ms - simulator.exchange.exchange_ms()) < 1000
    assert requests_to(simulator, POSITION_RISK) == 1


async def test_a_clock_that_drifts_is_set_right_and_the_request_repeated_once(
    simulator: RunningSimulator, parts: Parts
) -> None:
    await parts.rest.positions("BTCUSDT")
    simulator.exchange.faults.clock_skew_ms = 90_000
    await parts.rest.positions("BTCUSDT")
    assert requests_to(simulator, POSITION_RISK) == 3
    assert requests_to(simulator, "/fapi/v1/time") == 2
    await parts.rest.positions("BTCUSDT")
    assert requests_to(simulator, POSITION_RISK) == 4


async def test_a_wrong_secret_is_a_rejection_and_not_asked_again(simulator: RunningSimulator) -> None:
    async with Parts(simulator, api_secret="wrong").rest as rest:
        with pytest.raises(ExchangeRejected) as rejected:
            await rest.positions()
    assert rejected.value.code == -1022
    assert not isinstance(rejected.value, ClockSkewed | ListenKeyUnknown)
    assert requests_to(simulator, POSITION_RISK) == 1


async def test_the_listen_key_is_created_kept_and_missed(simulator: RunningSimulator, parts: Parts) -> None:
    key = await parts.rest.create_listen_key()
    assert key == simulator.exchange.listen_keys.live
    assert await parts.rest.create_listen_key() == key
    await parts.rest.keep_alive_listen_key(key)
    with pytest.raises(ListenKeyUnknown):
        await parts.rest.keep_alive_listen_key("the key of yesterday")
    simulator.exchange.expire_listen_key(now=True)
    with pytest.raises(ListenKeyUnknown):
        await parts.rest.keep_alive_listen_key(key)


@pytest.mark.parametrize("live", ["key-of-today", "key-of-another"])
async def test_a_keep_alive_that_names_no_key_is_proven_by_asking_for_the_live_one(
    simulator: RunningSimulator, live: str
) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(200, json={} if request.method == "PUT" else {"listenKey": live})

    async with Parts(simulator, network=MemoryNetwork(answer)).rest as rest:
        if live == "key-of-today":
            await rest.keep_alive_listen_key("key-of-today")
        else:
            with pytest.raises(ListenKeyUnknown):
                await rest.keep_alive_listen_key("key-of-today")
    assert asked == ["PUT", "POST"]


async def test_nothing_secret_reaches_logs_or_errors(
    simulator: RunningSimulator, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    simulator.exchange.faults.rest_fault_paths = [POSITION_RISK]
    faults: list[RestFault] = ["5xx", "truncated", "not_json", "reset", "hang", "429"]
    key = await parts.rest.create_listen_key()
    for fault in faults:
        simulator.exchange.faults.rest_fault_rates = {fault: 1.0}
        with pytest.raises((ExchangeUnavailable, AskLater)) as failed:
            await parts.rest.positions()
        parts.clock.ahead_sec += 2
        texts.append(str(parts.rest.trouble()))
        texts.append(f"{failed.value!r} {failed.value}")
    written = caplog.text + " ".join(texts)
    for secret in ("signature=", key, simulator.exchange.api_key, simulator.exchange.api_secret):
        assert secret not in written
