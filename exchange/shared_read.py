"""One request for many callers, for reads that return everything."""

from __future__ import annotations

from typing import Protocol

import trio

from brain.moment import Moment
from clock import Clock
from exchange.errors import BudgetExhausted, ExchangeError
from exchange.protocol import PositionsRead, Priority

#: Most requests under way: a hanging one must not block callers that need a later one.
_MOST_IN_FLIGHT = 2


class ReadAll(Protocol):
    """Signature of the shared request."""

    async def __call__(self, *, priority: Priority) -> PositionsRead:
        """Read all positions once. Raises as `Exchange` does."""


class _Flight:
    """Request under way. When it fails, `error` is set before `landed`."""

    def __init__(self, started: Moment, priority: Priority) -> None:
        self.started = started
        self.priority = priority
        self.landed = trio.Event()
        self.error: ExchangeError | None = None


class SharedRead:
    """Reads of all positions, shared by concurrent callers.

    A caller without a usable request under way sends one itself; no task outlives its caller. If that caller
    is cancelled, one of the waiting callers sends the next request.
    """

    def __init__(self, read: ReadAll, clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._flights: list[_Flight] = []
        self._latest: PositionsRead | None = None
        self._landed = trio.lowlevel.ParkingLot()

    def has(self, sent_after: Moment) -> bool:
        """Return True if a read sent at or after that moment has been answered or is under way."""
        return self._newest(sent_after) is not None or self._usable(sent_after) is not None

    async def landed(self, sent_after: Moment) -> PositionsRead:
        """Wait for a successful read that others send at or after a moment; send none."""
        while (latest := self._newest(sent_after)) is None:
            await self._landed.park()
        return latest

    async def read(
        self, sent_after: Moment | None = None, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        """Return a read sent at or after `sent_after` (default: now), by this or another caller.

        Callers with the same `sent_after` share one request. Raises the request's error: a failure is shared
        like an answer, except that after a BudgetExhausted a caller of higher priority sends its own request.
        """
        wanted = self._clock.now() if sent_after is None else sent_after
        while True:
            if (latest := self._newest(wanted)) is not None:
                await trio.lowlevel.checkpoint()
                return latest
            usable = self._usable(wanted)
            if usable is None and len(self._flights) < _MOST_IN_FLIGHT:
                return await self._fly(priority)
            flight = usable or self._flights[0]
            await flight.landed.wait()
            if usable is not None and usable.error is not None:
                if isinstance(usable.error, BudgetExhausted) and usable.priority < priority:
                    continue
                raise usable.error.with_traceback(None)

    def _newest(self, sent_after: Moment) -> PositionsRead | None:
        latest = self._latest
        return latest if latest is not None and latest.sent >= sent_after else None

    def _usable(self, sent_after: Moment) -> _Flight | None:
        return next((flight for flight in self._flights if flight.started >= sent_after), None)

    async def _fly(self, priority: Priority) -> PositionsRead:
        flight = _Flight(self._clock.now(), priority)
        self._flights.append(flight)
        try:
            answer = await self._read(priority=priority)
        except ExchangeError as error:
            flight.error = error
            raise
        finally:
            self._flights.remove(flight)
            flight.landed.set()
        if self._latest is None or self._latest.sent < answer.sent:
            self._latest = answer
            self._landed.unpark_all()
        return answer
