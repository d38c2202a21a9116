"""Raw answers of one exchange within its request weight, and connections to its streams."""

from __future__ import annotations

import trio

from channels import DropOldest, MetricEvent
from clock import HostClock
from commands.check.measure.pace import Pace
from exchange import endpoints, wire
from exchange.endpoints import Endpoint
from exchange.errors import BudgetExhausted, ExchangeUnavailable, TemporarilyRefused
from exchange.market_stream import MarketStreamConnector
from exchange.protocol import Priority
from exchange.server_time import ServerTime
from exchange.signing import Signer
from exchange.transport import Answer, Transport
from exchange.user_stream_connection import UserStreamConnector
from exchange.weight_budget import WeightBudget
from settings import Settings

_TIMEOUT_SEC = 5.0
_TRIES = 3


class ExchangeAccess:
    """The daemon's own transport, signing and connectors, without its decoders.

    Raises what `Transport.send` raises: RateLimited at a ban, before anything is sent while one is on.
    """

    def __init__(self, settings: Settings, pace: Pace, *, banned_until_ms: int | None) -> None:
        """`banned_until_ms` (wall clock): a ban that Redis remembers.

        To be made where trio runs: its clock is another one in each run. Raises SettingsError.
        """
        credentials = settings.require_credentials()
        self.clock = HostClock()
        self.server_time = ServerTime()
        self.exchange_ms = self.server_time.exchange_ms
        self.user_streams = UserStreamConnector(settings.binance_ws_url, clock=self.clock)
        self.market_streams = MarketStreamConnector(settings.binance_ws_url, clock=self.clock)
        self._retry_after_sec = pace.retry_after_sec
        self._transport = Transport(
            settings.binance_rest_url,
            Signer(credentials.api_key.reveal(), credentials.api_secret.reveal()),
            clock=self.clock,
            budget=WeightBudget(
                self.clock,
                settings.weight_budget_per_min,
                exchange_ms=self.server_time.exchange_ms,
                banned_until_wall_ms=banned_until_ms,
            ),
            server_time=self.server_time,
            metrics=DropOldest[MetricEvent]("check", 1),
            timeout_sec=_TIMEOUT_SEC,
        )

    async def aclose(self) -> None:
        """Close the connections for REST requests."""
        await self._transport.aclose()

    async def send(self, endpoint: Endpoint, params: dict[str, str] | None = None) -> Answer:
        """Send one request, once. Where our share of the weight is used up, wait for room first."""
        try:
            return await self._transport.send(endpoint, params or {}, Priority.ON_DEMAND)
        except BudgetExhausted as full:
            await trio.sleep_until(full.until.monotonic_sec)
            return await self._transport.send(endpoint, params or {}, Priority.ON_DEMAND)

    async def read(self, endpoint: Endpoint, params: dict[str, str] | None = None) -> bytes:
        """Return the body of an answer, after three tries at most: for requests that may be repeated."""
        for left in reversed(range(_TRIES)):
            try:
                return (await self.send(endpoint, params)).body.raw
            except (ExchangeUnavailable, TemporarilyRefused) as error:
                if not left:
                    raise
                await self.pause_after(error)
        raise AssertionError("the last try returns or raises")

    async def pause_after(self, error: ExchangeUnavailable | TemporarilyRefused) -> None:
        """Wait before a request is repeated that failed so."""
        if isinstance(error, TemporarilyRefused):
            await trio.sleep_until(error.until.monotonic_sec)
        else:
            await trio.sleep(self._retry_after_sec)

    async def own_listen_key(self) -> str:
        """Return the account's listen key, which this extends, or makes where there is none."""
        body = wire.Body(await self.read(endpoints.CREATE_LISTEN_KEY)).read(wire.LISTEN_KEY)
        if not body.listen_key:
            raise ExchangeUnavailable("unreadable answer: no listen key")
        return body.listen_key
