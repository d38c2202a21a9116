"""The way of an order to the exchange and of its answer back: all that may become of a request.

A request is sent once. It may never arrive, arrive late, arrive and be answered wrongly, in part, or not at
all; the answer's wording and the order's existence have nothing to do with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Literal, get_args

import msgspec
import trio

from simulator import RestApi, RestRequest
from simulator.faults import RestFault
from simulator.rest_failures import RestResponse
from tests.simulation.clocks import true_ms
from tests.simulation.venue import Venue

#: What a request's way may do to it, beside the exchange's own faults: there is no connection, one takes its
#: time, or the request never arrives.
Lost = Literal["unconnected", "slowly", "lost"]
_LOST: tuple[Lost | RestFault, ...] = ("unconnected", "slowly", "lost", "hang", "reset", "late", "late")
#: Answers in the place of the true one, of which some hide an effect.
_WRONG: tuple[RestFault, ...] = (
    "408", "-1006", "-1007", "503_unknown", "503_unavailable", "503_internal", "-1008", "-1015", "truncated",
    "not_json", "bad_gateway", "deep_json",
)  # fmt: skip
_LATEST_MS = 60_000.0
#: Between two parts of an order's fill, at most.
_FILL_MS, _SLOW_FILL_MS = 900.0, 12_000.0
#: And at least, of slow ones: so many parts that most orders outlive the shortest permits' reservations.
_SLOW_AT_LEAST_MS, _SLOW_PARTS = 9_000.0, 5


class OrderFate(msgspec.Struct, frozen=True):
    """What becomes of one request. `before`: an answer that hides no effect."""

    kind: Lost | RestFault | None = None
    before: bool = False
    late_ms: float = 0.0


class OrderWay:
    """Draws what becomes of orders, and how they are filled."""

    def __init__(self, venue: Venue, rng: Random) -> None:
        #: The shares of requests that are lost on their way, and of answers that are wrong.
        self.lost_share = self.wrong_share = 0.0
        #: What becomes of the next requests, before anything is drawn.
        self.next: list[OrderFate] = []
        #: The share of orders that are filled in parts, and whether those take their time.
        self.partly_share = 0.0
        self.fills_slowly = False
        self._venue = venue
        self._rng = rng
        self._api = RestApi(venue)

    async def run(self) -> None:
        """Let orders be filled, and late requests arrive, when that is due. Until cancelled."""
        venue, added = self._venue, trio.lowlevel.ParkingLot()
        venue.due.on_added = partial(_wake, added)
        while True:
            due_ms = venue.due.next_ms
            wait_sec = math.inf if due_ms is None else max(0.0, (due_ms - true_ms()) / 1000)
            with trio.move_on_after(wait_sec):
                await added.park()
            venue.advance()

    def fate(self) -> OrderFate:
        """Draw what becomes of a request."""
        rng = self._rng
        if self.next:
            return self.next.pop(0)
        draw = rng.random()
        if draw < self.lost_share:
            late_ms = rng.choice((rng.uniform(0.0, 4_000.0), rng.uniform(0.0, _LATEST_MS)))
            return OrderFate(rng.choice(_LOST), rng.random() < 0.3, late_ms)
        if draw < self.lost_share + self.wrong_share:
            return OrderFate(rng.choice(_WRONG), rng.random() < 0.5)
        return OrderFate()

    def answer(self, request: RestRequest, fate: OrderFate) -> RestResponse:
        """Let the exchange look at a request now. A fault of the transport leaves its answer as it is."""
        fault = None if fate.kind in get_args(Lost) else fate.kind
        with self._set(fail_before_effect=fate.before, late_ms=fate.late_ms, **self._filling()):
            return self._api.answer(request, fault)  # type: ignore[arg-type]

    def _filling(self) -> dict[str, object]:
        """Draw how an order that is taken now is filled."""
        rng = self._rng
        slowly = self.fills_slowly and self.partly_share > 0
        if rng.random() >= self.partly_share and not slowly:
            return {}
        parts = _SLOW_PARTS if slowly else rng.choice((1, 2, 3, 5))
        shortest_ms, longest_ms = (_SLOW_AT_LEAST_MS, _SLOW_FILL_MS) if slowly else (1.0, _FILL_MS)
        return {
            "fills_per_order": parts,
            "fill_interval_ms": rng.uniform(shortest_ms, longest_ms),
            "first_fill_after_ms": rng.choice((0.0, 0.0, rng.uniform(1.0, longest_ms))),
            "expire_after_fills": rng.choice((None, None, rng.randrange(parts))),
        }

    @contextmanager
    def _set(self, **switches: object) -> Iterator[None]:
        faults = self._venue.faults
        kept = {name: getattr(faults, name) for name in switches}
        for name, value in switches.items():
            setattr(faults, name, value)
        try:
            yield
        finally:
            for name, value in kept.items():
                setattr(faults, name, value)


def _pass(_name: str) -> None:
    """Let a process pass."""


def _wake(waiting: trio.lowlevel.ParkingLot) -> None:
    waiting.unpark_all()


class KillPoints:
    """Places on the way of an order at which something happens to the process that passes."""

    def __init__(self) -> None:
        self._place = ""
        self._strike: Callable[[str], None] = _pass

    def arm(self, place: str, strike: Callable[[str], None]) -> None:
        """Call `strike`, with the process's name, when the next one passes the place."""
        self._place, self._strike = place, strike

    def disarm(self) -> None:
        """Let everything pass."""
        self._place = ""
        self._strike = _pass

    def at(self, place: str, name: str) -> bool:
        """Strike a process that is at the place now. Answers whether it was struck."""
        if place != self._place:
            return False
        self._place = ""
        self._strike(name)
        return True

    async def passing(self, place: str, name: str) -> None:
        """Strike a process that passes the place. It may be cancelled here."""
        if self.at(place, name):
            await trio.lowlevel.checkpoint()
