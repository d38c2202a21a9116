"""Many callers, one request: for reads that return everything anyway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from brain.moment import Moment
from clock import Clock
from exchange.errors import ExchangeError
from exchange.protocol import PositionsRead

#: A hanging request must not keep those waiting who need one sent later; beyond two, they wait after all.
_MOST_IN_FLIGHT = 2


class _Flight:
    """One request under way. `error` is set before `landed` when it failed."""

    def __init__(self, started: Moment) -> None:
        self.started = started
        self.landed = trio.Event()
        self.error: ExchangeError | None = None


class SharedRead:
    """Reads of all positions, shared by whoever asks at the same time.

    The caller that finds no usable request under way sends one itself; no task outlives its caller. If that
    caller is cancelled, one of those who waited for it sends the next request.
    """

    def __init__(self, read: Callable[[], Awaitable[PositionsRead]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._flights: list[_Flight] = []
        self._latest: PositionsRead | None = None

    async def read(self, sent_after: Moment | None = None) -> PositionsRead:
        """A read that was sent at or after `sent_after` (default: now), perhaps by somebody else.

        Callers that give the same moment share one request, however far apart they come. Raises what the
        request raised; a failure is shared like an answer.
        """
        wanted = self._clock.now() if sent_after is None else sent_after
        while True:
            if self._latest is not None and self._latest.sent >= wanted:
                await trio.lowlevel.checkpoint()
                return self._latest
            usable = next((flight for flight in self._flights if flight.started >= wanted), None)
            if usable is None and len(self._flights) < _MOST_IN_FLIGHT:
                return await self._fly()
            flight = usable or self._flights[0]
            await flight.landed.wait()
            if usable is not None and usable.error is not None:
                raise usable.error.with_traceback(None)

    async def _fly(self) -> PositionsRead:
        flight = _Flight(self._clock.now())
        self._flights.append(flight)
        try:
            answer = await self._read()
        except ExchangeError as error:
            flight.error = error
            raise
        finally:
            self._flights.remove(flight)
            flight.landed.set()
        if self._latest is None or self._latest.sent < answer.sent:
            self._latest = answer
        return answer
