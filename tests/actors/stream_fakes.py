"""A private stream without sockets, for virtual time: what an exchange does is written down by the test."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import trio

from brain.moment import Moment
from clock import TrioClock
from exchange.errors import ExchangeError, ExchangeUnavailable, ListenKeyUnknown
from exchange.protocol import Frame, Pong, PositionsRead, Priority
from tests.actors.dictated_exchange import EPOCH_MS, SilentExchange


class SleepyClock(TrioClock):
    """Trio's virtual clock, and a wall clock that runs on while the host sleeps."""

    def __init__(self) -> None:
        super().__init__(EPOCH_MS)

    def suspend(self, seconds: float) -> None:
        self.epoch_ms += round(seconds * 1000)


class FakeConnection:
    """One connection: frames pushed by the test arrive in order, pings are answered unless frozen."""

    def __init__(self, clock: TrioClock, listen_key: str) -> None:
        self.listen_key = listen_key
        self.opened_sec = trio.current_time()
        self.closed_sec: float | None = None
        self.frozen = False
        self.round_trip_sec = 0.1
        self._clock = clock
        self._pushing, self._pushed = trio.open_memory_channel[bytes | tuple[Pong, trio.Event]](math.inf)
        self._hang_up = trio.Event()

    def push(self, payload: dict[str, object] | bytes) -> None:
        self._pushing.send_nowait(payload if isinstance(payload, bytes) else msgspec.json.encode(payload))

    def hang_up(self) -> None:
        """Close the other end, behind all that it pushed."""
        self._pushing.close()
        self._hang_up.set()

    def pong(self) -> None:
        """Answer a ping that is sent now, without any delay."""
        self._pushing.send_nowait((Pong(self._clock.now()), trio.Event()))

    async def receive(self) -> Frame | Pong:
        try:
            heard = await self._pushed.receive()
        except trio.EndOfChannel:
            raise ExchangeUnavailable("closed by the exchange") from None
        if isinstance(heard, tuple):
            pong, received = heard
            received.set()
            return pong
        return Frame(heard, self._clock.now())

    async def ping(self) -> None:
        pong, received = Pong(self._clock.now()), trio.Event()
        if self.frozen:
            await trio.sleep_forever()
        await trio.sleep(self.round_trip_sec)
        if self._hang_up.is_set():
            raise ExchangeUnavailable("closed by the exchange")
        self._pushing.send_nowait((pong, received))
        await received.wait()

    async def aclose(self) -> None:
        if self.closed_sec is None:
            self.closed_sec = trio.current_time()
        await trio.lowlevel.checkpoint()


class FakeBinance(SilentExchange):
    """`Exchange` and `StreamConnector` at once, as far as the private stream asks.

    There is one listen key: POST returns the live one or makes one, PUT answers with the live one. A
    connection with a dead key is accepted, answers pings and is silent. `refusals`, `connect_refusals` and
    `keep_alive_refusals` are taken from the front, one an attempt.
    """

    def __init__(self, clock: TrioClock) -> None:
        self.clock = clock
        self.connections: list[FakeConnection] = []
        self.attempts_sec: list[float] = []
        self.keys_made = 0
        self.live_key: str | None = None
        self.kept_alive: list[tuple[float, str]] = []
        self.skew_ms = 0
        self.assumed_skew_ms = 0
        self.comparisons = 0
        self.clock_refusals: list[ExchangeError] = []
        self.refusals: list[ExchangeError] = []
        self.connect_refusals: list[ExchangeError] = []
        self.connects_sec: list[float] = []
        self.keep_alive_refusals: list[ExchangeError] = []
        self.on_connect: Callable[[FakeConnection], None] = lambda _connection: None
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def line(self) -> FakeConnection:
        """The newest connection."""
        return self.connections[-1]

    async def connected(self, count: int = 1) -> FakeConnection:
        """Wait until so many connections were made; the newest of them."""
        while len(self.connections) < count:
            await self._changed.park()
        return self.connections[count - 1]

    def delete_key(self, *, replaced: bool = False) -> None:
        """Another process deletes the key, and with `replaced` makes another one; its streams stay silent."""
        self.live_key = None
        if replaced:
            self._make_key()

    def push(self, payload: dict[str, object]) -> None:
        """Push an event on every open connection whose listen key is live."""
        for connection in self.connections:
            if connection.closed_sec is None and connection.listen_key == self.live_key:
                connection.push(payload)

    def expire_key(self) -> None:
        """End the key with `listenKeyExpired`, as at its hour's end or by DELETE."""
        self.push({"e": "listenKeyExpired", "E": self.true_ms(), "listenKey": self.live_key})
        self.live_key = None

    async def connect(self, nursery: trio.Nursery, listen_key: str) -> FakeConnection:
        self.connects_sec.append(trio.current_time())
        if self.connect_refusals:
            await trio.lowlevel.checkpoint()
            raise self.connect_refusals.pop(0)
        connection = FakeConnection(self.clock, listen_key)
        self.connections.append(connection)
        self.on_connect(connection)
        self._changed.unpark_all()
        await trio.lowlevel.checkpoint()
        return connection

    async def create_listen_key(self) -> str:
        self.attempts_sec.append(trio.current_time())
        await trio.sleep(0.05)
        if self.refusals:
            raise self.refusals.pop(0)
        return self.live_key or self._make_key()

    async def keep_alive_listen_key(self, listen_key: str) -> None:
        self.kept_alive.append((trio.current_time(), listen_key))
        await trio.sleep(0.05)
        if self.keep_alive_refusals:
            raise self.keep_alive_refusals.pop(0)
        if self.live_key != listen_key:
            raise ListenKeyUnknown(-1125, "there is no such key, or another one")

    def _make_key(self) -> str:
        self.keys_made += 1
        self.live_key = f"key-{self.keys_made}"
        return self.live_key

    async def synchronise_clock(self) -> None:
        await trio.sleep(0.05)
        self.comparisons += 1
        if self.clock_refusals:
            raise self.clock_refusals.pop(0)
        self.assumed_skew_ms = self.skew_ms

    def exchange_ms(self, at: Moment) -> int:
        return at.wall_ms + self.assumed_skew_ms

    def true_ms(self) -> int:
        """The exchange's own clock now."""
        return self.clock.now().wall_ms + self.skew_ms

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        raise AssertionError("the stream reads no positions")


def account_update(symbol: str, amount: str, transaction_ms: int) -> dict[str, object]:
    changed = {"s": symbol, "pa": amount, "ep": "100.5", "ps": "BOTH"}
    return {
        "e": "ACCOUNT_UPDATE",
        "E": transaction_ms,
        "T": transaction_ms,
        "a": {"m": "ORDER", "B": [], "P": [changed]},
    }


def order_fill(symbol: str, order_id: int, cumulative: str, transaction_ms: int) -> dict[str, object]:
    order = {
        "s": symbol,
        "c": "web_1",
        "S": "BUY",
        "x": "TRADE",
        "X": "FILLED",
        "i": order_id,
        "z": cumulative,
        "ps": "BOTH",
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": transaction_ms, "T": transaction_ms, "o": order}
