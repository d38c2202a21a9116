"""Binance's own SDK as a client: REST from worker threads, streams on an asyncio loop in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import trio
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.models import ApiResponse
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from binance_sdk_derivatives_trading_usds_futures.websocket_streams.models import (
    MarkPriceStreamForAllMarketUpdateSpeedEnum,
)
from pydantic import BaseModel

from simulator import RunningSimulator

_REQUEST_TIMEOUT_MS = 5000
_FRAMES_WAITING = 10_000


class OfficialRest:
    """`ask("new_order", symbol=…)` calls the SDK's method of that name; its errors are raised here."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self._rest = DerivativesTradingUsdsFutures(
            config_rest_api=ConfigurationRestAPI(
                api_key=simulator.exchange.api_key,
                api_secret=simulator.exchange.api_secret,
                base_path=simulator.addresses.rest_url,
                timeout=_REQUEST_TIMEOUT_MS,
                retries=0,
            )
        ).rest_api

    async def ask(self, method: str, **arguments: Any) -> Any:
        """Decode the answer by the SDK's model."""
        return (await self.answer(method, **arguments)).data()

    async def answer(self, method: str, **arguments: Any) -> ApiResponse[Any]:
        """Return the answer with its status and rate limits."""
        response: ApiResponse[Any] = await trio.to_thread.run_sync(
            partial(getattr(self._rest, method), **arguments)
        )
        return response


class OfficialStreams:
    """Arguments of the SDK's callbacks, in order: decoded user events, and lists of mark prices."""

    def __init__(self) -> None:
        self._send_user, self._user = trio.open_memory_channel[Any](_FRAMES_WAITING)
        self._send_marks, self._marks = trio.open_memory_channel[Any](_FRAMES_WAITING)

    async def user_event(self) -> Any:
        """Return the next event, as the SDK's model of its type; a dict if no model of the SDK fits it."""
        return (await self._user.receive()).actual_instance

    async def user_event_of(self, model: type[BaseModel]) -> Any:
        """Return the next event of that model."""
        while not isinstance(event := await self.user_event(), model):
            pass
        return event

    async def mark_prices(self) -> list[Any]:
        prices: list[Any] = await self._marks.receive()
        return prices

    def hand_on_user_event(self, event: object) -> None:
        trio.from_thread.run_sync(self._send_user.send_nowait, event)

    def hand_on_mark_prices(self, prices: object) -> None:
        trio.from_thread.run_sync(self._send_marks.send_nowait, prices)


class _Started(Protocol):
    def __call__(self, stop: Callable[[], object]) -> None: ...


@asynccontextmanager
async def official_streams(simulator: RunningSimulator, listen_key: str) -> AsyncIterator[OfficialStreams]:
    """Yield the private stream of that key and the mark prices, subscribed."""
    streams = OfficialStreams()
    async with trio.open_nursery() as nursery:
        stop: Callable[[], object] = await nursery.start(
            _listen_in_a_thread, streams, simulator.addresses.ws_url, listen_key
        )
        try:
            yield streams
        finally:
            stop()


async def _listen_in_a_thread(
    streams: OfficialStreams,
    ws_url: str,
    listen_key: str,
    *,
    task_status: trio.TaskStatus[Callable[[], object]],
) -> None:
    def started(stop: Callable[[], object]) -> None:
        trio.from_thread.run_sync(task_status.started, stop)

    def listen() -> None:
        # A loop of asyncio's own, whatever policy trio-asyncio has set for the process.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_listen(streams, ws_url, listen_key, started))

    await trio.to_thread.run_sync(listen)


async def _listen(streams: OfficialStreams, ws_url: str, listen_key: str, started: _Started) -> None:
    """Runs on asyncio: the SDK's own side."""
    client: Any = DerivativesTradingUsdsFutures(
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=ws_url)
    ).websocket_streams
    stopped = asyncio.Event()
    connection = await client.create_connection()
    try:
        user = await connection.user_data(listen_key)
        user.on("message", streams.hand_on_user_event)
        marks = await connection.mark_price_stream_for_all_market(
            update_speed=MarkPriceStreamForAllMarketUpdateSpeedEnum.UPDATE_SPEED_1s.value
        )
        marks.on("message", streams.hand_on_mark_prices)
        started(partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set))
        await stopped.wait()
    finally:
        await client.close_connection()


def gaps(model: object, path: str = "") -> Iterator[str]:
    """Compare an answer with the SDK's model: `-field` was not sent, `+field` is not modelled."""
    if isinstance(model, list | tuple):
        for item in model:
            yield from gaps(item, path)
    if not isinstance(model, BaseModel):
        return
    for name, field in type(model).model_fields.items():
        here = f"{path}.{field.alias or name}".lstrip(".")
        if name == "additional_properties":
            yield from (f"+{path}.{extra}".replace("+.", "+") for extra in getattr(model, name))
        elif name not in model.model_fields_set:
            yield f"-{here}"
        else:
            yield from gaps(getattr(model, name), here)
