"""Judges of what no single effect shows: connections, requests and readiness over a stretch of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from tests.simulation.clocks import true_ms
from tests.simulation.reads import Reads
from tests.simulation.streams import WebSocket
from tests.simulation.verdicts import ViolationError, require

if TYPE_CHECKING:
    from tests.simulation.world import World

_LOOK_SEC = 5.0
#: The key is proven each minute; a look, an answer and a second attempt come on top.
_DEAD_KEY_SEC = 60.0 + _LOOK_SEC + 12.0
#: From the first read that shows what was missed to the end of the connection, and a look.
_DIVERGED_SEC = 3.0 + _LOOK_SEC
_CONNECTIONS_WINDOW_SEC = 300.0
_MOST_CONNECTIONS = 60
_BAN_WINDOW_SEC = 60.0
_MOST_REQUESTS_WHILE_BANNED = 3
_REFUSALS = (403, 418, 429)
#: Where all can be read at once, more than these are a waste: one, and one that hangs.
_MOST_SINGLE_READS = 2


class Requests:
    """Requests of one process to the exchange. Calls `fail` when they are too many."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.reads = Reads()
        self._refused = False
        self._while_banned: deque[float] = deque()
        self._single_reads = 0
        self._connections: deque[float] = deque()

    def started(self) -> None:
        """Another incarnation counts its connections anew."""
        self._connections.clear()
        self._single_reads = 0
        self.reads.clear()

    @contextmanager
    def under_way(self, path: str, *, of_one_symbol: bool) -> Iterator[None]:
        """Count a request as open until it is answered or given up."""
        self._sent(path)
        if not of_one_symbol or self._world.settings.fetch_mode == "per_symbol":
            yield
            return
        self._single_reads += 1
        self._judge(
            self._single_reads <= _MOST_SINGLE_READS,
            f"{self._single_reads} reads of one symbol each at the same time, where one reads all",
        )
        try:
            yield
        finally:
            self._single_reads = max(0, self._single_reads - 1)

    def _sent(self, path: str) -> None:
        now_sec = trio.current_time()
        if not self._world.refusing_all:
            self._refused = False
            self._while_banned.clear()
        elif self._refused:
            count = _count(self._while_banned, now_sec, _BAN_WINDOW_SEC)
            self._judge(
                count <= _MOST_REQUESTS_WHILE_BANNED,
                f"{count} requests in {_BAN_WINDOW_SEC:g} s while each is refused, now {path}",
            )

    def answered(self, status: int) -> None:
        """Note an answer."""
        self._refused = self._refused or (self._world.refusing_all and status in _REFUSALS)

    def connected(self) -> None:
        """Note a connection to the private stream."""
        count = _count(self._connections, trio.current_time(), _CONNECTIONS_WINDOW_SEC)
        self._judge(
            count <= _MOST_CONNECTIONS, f"{count} connections in {_CONNECTIONS_WINDOW_SEC / 60:g} minutes"
        )

    def _judge(self, condition: object, what: str) -> None:
        if not condition:
            self._world.fail(ViolationError("h", f"{self._name}: {what}"))


class StreamWatch:
    """Looks at connections whose key is dead: they must be replaced."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def watch(self) -> None:
        """Until cancelled. Raises ViolationError."""
        while True:
            await trio.sleep(_LOOK_SEC)
            live = self._world.venue.listen_keys.live
            for connection in self._world.streams.connections():
                if connection.listen_key != live:
                    self._judge(connection)

    def _judge(self, connection: WebSocket) -> None:
        now_sec = trio.current_time()
        if connection.dead_since_sec is None:
            connection.dead_since_sec = now_sec
        since_sec = max(connection.dead_since_sec, self._world.disturbed_sec())
        require(
            now_sec - since_sec <= _DEAD_KEY_SEC,
            "h",
            f"a connection whose key is dead stands for {now_sec - connection.dead_since_sec:.0f} s",
        )
        missed, world = connection.missed, self._world
        if missed is None or world.settings.fetch_mode == "per_symbol":
            return
        if missed.before in world.venue.amounts_between(
            missed.symbol, missed.leg, missed.at_ms + 1, true_ms()
        ):
            # As if it had not happened: no read shows it.
            connection.missed = None
            return
        missed_sec = now_sec - (true_ms() - missed.at_ms) / 1000
        since_sec = max(missed_sec, world.disturbed_sec())
        limit_sec = world.audit_ms() / 1000 + _DIVERGED_SEC
        require(
            now_sec - since_sec <= limit_sec,
            "h",
            f"a connection that missed a change of {missed.symbol} {missed.leg} stands for "
            f"{now_sec - missed_sec:.0f} s",
        )


def _count(moments: deque[float], now_sec: float, window_sec: float) -> int:
    """Add one of now, and count those within the window."""
    moments.append(now_sec)
    while moments[0] <= now_sec - window_sec:
        moments.popleft()
    return len(moments)
