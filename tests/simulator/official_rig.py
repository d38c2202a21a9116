"""Fixtures of the tests with Binance's own SDK: a simulator, its REST client, its streams."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio
from binance_sdk_derivatives_trading_usds_futures.rest_api.models import (
    NewOrderNewOrderRespTypeEnum,
    NewOrderReduceOnlyEnum,
    NewOrderSideEnum,
    NewOrderTypeEnum,
)

from simulator import RunningSimulator, SimulatedExchange, StreamServer, running
from tests.simulator.official_client import OfficialRest, OfficialStreams, gaps, official_streams

#: The SDK itself waits half a second before each of its two subscriptions.
_PATIENCE_SEC = 20
#: The exchange sends it, and the SDK's model does not know it.
_UNMODELLED = {"+symbols.maxMoveOrderLimit"}
#: The documentation names these for trailing stops and amendments only.
_NEVER_WITHOUT_TRIGGER = {"-o.AP", "-o.cr", "-o.M", "-activatePrice", "-priceRate"}


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK logs, and goes on with raw dictionaries, where an answer does not fit its models."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records] == []


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    exchange = SimulatedExchange()
    async with running(exchange, streams=StreamServer(exchange, mark_price_interval_sec=0.05)) as started:
        with trio.fail_after(_PATIENCE_SEC):
            yield started


@pytest.fixture
def rest(simulator: RunningSimulator) -> OfficialRest:
    return OfficialRest(simulator)


async def market_order(
    rest: OfficialRest, side: str, quantity: float, *, reduce_only: bool = False, **more: object
) -> Any:
    """Return a market order in BTCUSDT, answered with its result."""
    return await rest.ask(
        "new_order",
        symbol="BTCUSDT",
        side=NewOrderSideEnum[side],
        type=NewOrderTypeEnum.MARKET,
        quantity=quantity,
        reduce_only=NewOrderReduceOnlyEnum.TRUE if reduce_only else None,
        new_order_resp_type=NewOrderNewOrderRespTypeEnum.RESULT,
        **more,
    )


def unexpected(model: object) -> set[str]:
    return set(gaps(model)) - _UNMODELLED - _NEVER_WITHOUT_TRIGGER


@pytest.fixture
async def streams(simulator: RunningSimulator, rest: OfficialRest) -> AsyncIterator[OfficialStreams]:
    key = (await rest.ask("start_user_data_stream")).listen_key
    async with official_streams(simulator, key) as subscribed:
        yield subscribed
