"""Requests that may be sent again: each is repeated until it has a usable answer, three times at most."""

from __future__ import annotations

from random import Random
from typing import TypeVar

import msgspec
import trio

from brain.moment import Moment
from clock import Clock
from clocks.growing_delay import GrowingDelay
from exchange import endpoints, wire
from exchange.endpoints import Endpoint
from exchange.errors import ClockSkewed, ExchangeError, ExchangeRejected, ExchangeUnavailable
from exchange.key_refusal import KEY_REFUSED, KeyInquiry
from exchange.protocol import Priority
from exchange.server_time import ServerTime
from exchange.transport import Transport
from exchange.trouble import Troubles

T = TypeVar("T")

#: The last attempt's error is raised.
_ATTEMPTS = 3
_PAUSES = GrowingDelay(initial_sec=0.2, maximum_sec=0.4)


class RetriedRequests:
    """Idempotent requests over a transport, with back-off and jitter between attempts.

    None is repeated after a ban, during maintenance or after an error code; -1021 has the clock synchronised
    once.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        server_time: ServerTime,
        rng: Random,
        key: KeyInquiry,
        troubles: Troubles,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._server_time = server_time
        self._rng = rng
        self._key = key
        self._troubles = troubles
        self._synchronising = trio.Lock()

    async def ask(
        self,
        endpoint: Endpoint,
        decoder: msgspec.json.Decoder[T],
        params: dict[str, str] | None = None,
        priority: Priority = Priority.PERIODIC,
        *,
        attempts: int = _ATTEMPTS,
    ) -> tuple[T, Moment, Moment]:
        """Return the decoded answer, and when the answered attempt was sent and received."""
        params = params or {}
        if endpoint.signed:
            await self._synchronise_unless_done_since(None)
        asked = self._clock.now()
        try:
            return await self._attempt(endpoint, decoder, params, priority, attempts)
        except ClockSkewed:
            await self._synchronise_unless_done_since(asked)
            return await self._attempt(endpoint, decoder, params, priority, attempts)

    async def synchronise(self) -> None:
        """Synchronise with the exchange's clock."""
        await self._synchronise_unless_done_since(self._clock.now())

    async def _attempt(
        self,
        endpoint: Endpoint,
        decoder: msgspec.json.Decoder[T],
        params: dict[str, str],
        priority: Priority,
        attempts: int = _ATTEMPTS,
    ) -> tuple[T, Moment, Moment]:
        for attempt in range(1, attempts + 1):
            try:
                answer = await self._transport.send(endpoint, params, priority)
                read = answer.body.read(decoder)
            except ExchangeUnavailable as error:
                if attempt == attempts:
                    self._troubles.failed(endpoint, error)
                    raise
            except ExchangeError as error:
                self._troubles.failed(endpoint, error)
                if isinstance(error, ExchangeRejected) and error.code == KEY_REFUSED:
                    await self._key.ask_if_due()
                raise
            else:
                self._troubles.answered(endpoint)
                return read, answer.sent, answer.received
            await trio.sleep(_PAUSES.after(attempt) * self._rng.uniform(0.5, 1.0))
        raise AssertionError("the last attempt returns or raises")

    async def _synchronise_unless_done_since(self, moment: Moment | None) -> None:
        """Synchronise with the exchange's clock, unless that was done after `moment` (None: ever)."""
        async with self._synchronising:
            learnt_at = self._server_time.learnt_at
            if learnt_at is not None and (moment is None or learnt_at > moment):
                return
            body, sent, received = await self._attempt(
                endpoints.SERVER_TIME, wire.SERVER_TIME, {}, Priority.VITAL
            )
            self._server_time.learn(sent, body.server_time, received)
