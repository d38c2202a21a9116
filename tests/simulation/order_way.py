"""The way of an order to the exchange and of its answer back: all that may become of a request.

A request is sent once. It may never arrive, arrive late, arrive and be answered wrongly, in part, or not at
all; the answer's wording and the order's existence have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal, get_args

import msgspec
import trio

from simulator import RestApi, RestRequest
from simulator.faults import RestFault
from simulator.rest_failures import RestResponse
from tests.simulation.trace import Trace
from tests.simulation.venue import Venue

#: What becomes of a request, beside an answer as it should be. `unconnected`: no byte leaves. `lost`: it never
#: arrives. `mute`: it has its effect, and no answer comes. `late`: it arrives up to a minute later.
Fate = Literal["unconnected", "lost", "mute", "late"]
_FATES: tuple[Fate, ...] = get_args(Fate)
#: Answers in the place of the true one; before and after an effect.
_ANSWERS: tuple[RestFault, ...] = (
    "408", "-1007", "503_unknown", "503_unavailable", "503_internal", "-1008", "truncated", "not_json",
    "reset", "403", "deep_json",
)  # fmt: skip
_REFUSALS: tuple[RestFault, ...] = ("429", "418")
_LATEST_SEC = 60.0


class OrderFate(msgspec.Struct, frozen=True):
    """What becomes of one request. `before`: an answer that hides no effect."""

    kind: Fate | RestFault | None = None
    before: bool = False
    late_sec: float = 0.0


class OrderWay:
    """Draws what becomes of orders, and carries those that are late."""

    def __init__(self, venue: Venue, rng: Random, trace: Trace) -> None:
        #: The shares of requests in trouble: whose way is lost, whose answer is wrong, that are too many.
        self.lost_share = self.wrong_share = self.refused_share = 0.0
        #: What becomes of the next requests, before anything is drawn.
        self.next: list[OrderFate] = []
        #: The share of orders that are filled in parts.
        self.partly_share = 0.35
        self._venue = venue
        self._rng = rng
        self._trace = trace
        self._late: trio.Nursery | None = None
        self._api = RestApi(venue)

    async def run(self) -> None:
        """Carry what is late, until cancelled."""
        async with trio.open_nursery() as self._late:
            await trio.sleep_forever()

    def fate(self) -> OrderFate:
        """Draw what becomes of a request."""
        rng = self._rng
        if self.next:
            return self.next.pop(0)
        draw = rng.random()
        if draw < self.lost_share:
            kind = rng.choice(_FATES)
            return OrderFate(kind, late_sec=rng.choice((rng.uniform(0.0, 4.0), rng.uniform(0.0, _LATEST_SEC))))
        draw -= self.lost_share
        if draw < self.wrong_share:
            return OrderFate(rng.choice(_ANSWERS), before=rng.random() < 0.5)
        draw -= self.wrong_share
        if draw < self.refused_share:
            return OrderFate(rng.choice(_REFUSALS), before=True)
        return OrderFate()

    def answer(self, request: RestRequest, fate: OrderFate) -> RestResponse:
        """Let the exchange look at a request now. A fault of the transport leaves its answer as it is."""
        faults = self._venue.faults
        fault: RestFault | None = None if fate.kind in _FATES else fate.kind  # type: ignore[assignment]
        kept, faults.fail_before_effect = faults.fail_before_effect, fate.before
        try:
            with self._venue.taking_orders(self._rng.random() < self.partly_share):
                return self._api.answer(request, fault)
        finally:
            faults.fail_before_effect = kept

    def send_late(self, request: RestRequest, late_sec: float) -> None:
        """Let a request arrive after so long, whether or not its sender still lives."""
        if self._late is not None:
            self._late.start_soon(self._arrive, request, late_sec)

    async def _arrive(self, request: RestRequest, late_sec: float) -> None:
        await trio.sleep(late_sec)
        answer = self.answer(request, OrderFate())
        self._trace.note(f"arrived {late_sec:.1f} s late: {answer.status} {answer.body[:40]!r}")


class KillPoints:
    """Places on the way of an order at which something happens to the process that passes."""

    def __init__(self) -> None:
        self._place = ""
        self._struck: Callable[[str], None] = lambda _name: None

    def arm(self, place: str, struck: Callable[[str], None]) -> None:
        """Call `struck`, with the process's name, when the next one passes the place."""
        self._place, self._struck = place, struck

    def disarm(self) -> None:
        """Let everything pass."""
        self._place = ""

    async def passing(self, place: str, name: str) -> None:
        """Note that a process is there. It may be cancelled here."""
        if place == self._place:
            self._place = ""
            self._struck(name)
            await trio.lowlevel.checkpoint()
