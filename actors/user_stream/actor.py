"""Private stream: the account's events as they are pushed, and proofs that none was missed.

A *session* is a stream without gaps. It begins when a connection and its listen key are proven, is dated from
when that connection stood, and ends when an event may have been missed. Within a session the connection is
replaced once a day: old and new overlap, and the same events arrive twice. A repeated account update is left
out: behind a newer one of the other connection it would look out of order. A repeated fill is harmless: it
carries its order's cumulative quantity, of which only the growth counts.

Source: Binance USDⓈ-M Futures, "User Data Streams": a listen key lives 60 min, a connection 24 h;
POST returns the account's live key, or makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.user_stream.clock_sync import ClockSync
from actors.user_stream.connection import StreamConnection
from actors.user_stream.events_for_roles import EventsForRoles
from actors.user_stream.reconnect_pauses import ReconnectPauses
from actors.user_stream.repeated_updates import RepeatedUpdates
from brain.moment import Moment
from channels import (
    BalancesObserved,
    Conflating,
    Count,
    DropOldest,
    FillObserved,
    LatestValue,
    LeverageObserved,
    MetricEvent,
    Observe,
    OrderEndObserved,
    OrderObserved,
    OwnOrderObserved,
    SetGauge,
    ShardMessage,
    SnapshotBook,
    StreamConnected,
    StreamLost,
    StreamProven,
    StreamStatus,
)
from clock import Clock
from exchange.connection_limit import ConnectionLimit
from exchange.errors import ExchangeError, ExchangeUnavailable, UnreadableEvent
from exchange.protocol import Exchange, Frame, Priority, StreamConnector
from exchange.push_delay import PushDelay
from exchange.user_data import AccountUpdate, ListenKeyExpired, read_event
from supervision import Heartbeat

ROTATE_AFTER_SEC = 23 * 3600.0
#: Overlap of old and new connection, beyond the observed push delay (seconds).
OVERLAP_SEC = 5.0
_RETRY_ROTATION_SEC = 60.0


class UserStream:
    """Owner of connection, listen key and proofs (rule 13 of `actors.snapshot_fetcher.read_schedule`)."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        connector: StreamConnector,
        clock: Clock,
        book: SnapshotBook,
        shards: Sequence[Conflating[ShardMessage]],
        shard_of: Callable[[str], int],
        fills: DropOldest[OrderObserved],
        metrics: DropOldest[MetricEvent],
        status: LatestValue[StreamStatus],
        limit: ConnectionLimit,
        proof_sec: float,
        rng: Random,
        log: FilteringBoundLogger,
        own_orders: Conflating[OwnOrderObserved] | None = None,
        balances: DropOldest[BalancesObserved] | None = None,
    ) -> None:
        """`status` and `limit` outlive the actor: sessions and connections are counted on from there.
        `proof_sec`: seconds between pings. `own_orders`: None without an executor, `balances`: None without
        a Governor."""
        self._exchange = exchange
        self._connector = connector
        self._clock = clock
        self._book = book
        self._shards = shards
        self._shard_of = shard_of
        self._fills = fills
        self._metrics = metrics
        self._status_channel = status
        self._status = status.value or StreamStatus()
        self._limit = limit
        self._proof_sec = proof_sec
        self._rng = rng
        self._log = log
        self._for_roles = EventsForRoles(own_orders, balances)
        self._push_delay = PushDelay(exchange.exchange_ms)
        self._clock_sync = ClockSync(exchange, log)
        self._pauses = ReconnectPauses(clock, rng)
        self._current: StreamConnection | None = None
        self._begun_sec = 0.0
        self._session = trio.CancelScope()
        self._updates = RepeatedUpdates()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Run one session after the other until cancelled. The listen key is left alive."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._clock_sync.run)
            while True:
                refusal = await self._run_session(heartbeat)
                with heartbeat.waiting_for("Binance's private stream"):
                    await trio.sleep(self._pauses.next_sec(refusal))

    async def _run_session(self, heartbeat: Heartbeat) -> ExchangeError | None:
        """Run a session from connecting to its loss; return the error if there was no connection."""
        refusal: ExchangeError | None = None
        self._session = trio.CancelScope()
        try:
            with self._session:
                async with trio.open_nursery() as nursery:
                    try:
                        with heartbeat.waiting_for("Binance's private stream"):
                            first: StreamConnection = await nursery.start(self._run_connection, heartbeat)
                            await first.proven_since(first.since)
                        nursery.start_soon(self._end_on_divergence)
                        nursery.start_soon(self._rotate, nursery, heartbeat)
                        with heartbeat.idle():
                            await trio.sleep_forever()
                    except ExchangeError as error:
                        refusal = error
                        self._log.warning("private stream: not connected", error=str(error))
        finally:
            stopping = heartbeat.stopping.is_set()
            self._lose("the service is stopping" if stopping else "the actor was stopped", meant=stopping)
        return refusal

    async def _run_connection(
        self,
        heartbeat: Heartbeat,
        *,
        task_status: trio.TaskStatus[StreamConnection] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Connect, report the connection as started, run it until it ends. Raises ExchangeError before."""
        refusal: ExchangeError | None = None
        async with trio.open_nursery() as sockets:
            try:
                listen_key = await self._exchange.create_listen_key()
                await self._limit.turn(Priority.VITAL)
                socket = await self._connector.connect(sockets, listen_key)
            except ExchangeError as error:
                refusal = error
            else:
                connection = StreamConnection(
                    socket,
                    listen_key,
                    self._clock.now(),
                    clock=self._clock,
                    proof_sec=self._proof_sec,
                    keep_alive=self._exchange.keep_alive_listen_key,
                    on_frame=self._on_frame,
                    on_proof=self._prove,
                    rng=self._rng,
                    log=self._log,
                )
                try:
                    task_status.started(connection)
                    with heartbeat.task() as task:
                        why = await connection.run(task)
                    if connection is self._current:
                        self._lose(why)
                    elif self._current is None:
                        self._log.warning("private stream: connection ended unproven", why=why)
                        self._session.cancel()
                finally:
                    await socket.aclose()
            sockets.cancel_scope.cancel()
        if refusal is not None:
            raise refusal

    async def _end_on_divergence(self) -> None:
        """End the session when a read shows a position that its connection should have pushed."""
        while True:
            lost_at, current = self._book.trust_lost_at, self._current
            if current is not None and lost_at is not None and lost_at > current.since:
                self._lose("diverged from the exchange")
            await self._book.trust_lost()

    async def _rotate(self, nursery: trio.Nursery, heartbeat: Heartbeat) -> None:
        """Replace the connection before the exchange ends it, without missing anything."""
        pause_sec = ROTATE_AFTER_SEC
        while True:
            await trio.sleep(pause_sec * self._rng.uniform(0.98, 1.0))
            pause_sec = _RETRY_ROTATION_SEC
            try:
                joining: StreamConnection = await nursery.start(self._run_connection, heartbeat)
            except ExchangeError as error:
                self._log.warning("private stream: no connection to rotate to", error=str(error))
                continue
            if await self._hand_over(joining):
                pause_sec = ROTATE_AFTER_SEC
                self._log.info("private stream: rotated to a new connection")

    async def _hand_over(self, joining: StreamConnection) -> bool:
        """Make `joining` the current connection; return False if it ended before that.

        The old one has to answer a ping sent well after the new one stood: by then it has pushed everything
        from before, and the new one pushes everything since.
        """
        if not await joining.proven_since(joining.since):
            return False
        leaving = self._current
        if leaving is not None and leaving.listen_key != joining.listen_key:
            # The old key is dead, and nothing was pushed on the old connection since it died.
            self._lose("the account's listen key is another one by now")
            return False
        allowance_sec = self._push_delay.allowance_sec(self._clock.now())
        await trio.sleep(OVERLAP_SEC + allowance_sec)
        leaving = self._current
        if leaving is None or not await leaving.proven_since(self._clock.now()) or joining.ended is not None:
            return False
        self._current = joining
        leaving.end("rotated out")
        return True

    def _on_frame(self, frame: Frame) -> None:
        """Pass on a frame's event. Raises ExchangeError if later ones cannot be relied on."""
        try:
            event_type, event = read_event(frame)
        except UnreadableEvent:
            self._metrics.send(Count("p33_stream_events_total", ("unreadable",)))
            raise
        self._metrics.send(Count("p33_stream_events_total", (event_type,)))
        self._for_roles.any_event(frame)
        match event:
            case AccountUpdate() if self._updates.has(frame.raw):
                pass
            case AccountUpdate():
                self._time_push(event.transaction_ms, frame)
                for position in event.positions:
                    self._shards[self._shard_of(position.symbol)].send(position)
                self._for_roles.account_update(frame)
            case FillObserved():
                self._time_push(event.transaction_ms, frame)
                self._shards[self._shard_of(event.symbol)].send(event)
                self._fills.send(event)
            case OrderEndObserved():
                self._fills.send(event)
            case LeverageObserved():
                self._shards[self._shard_of(event.symbol)].send(event)
            case ListenKeyExpired():
                raise ExchangeUnavailable("the listen key expired")

    def _time_push(self, transaction_ms: int, frame: Frame) -> None:
        """Measure the push delay; have the clock synchronised if it is implausible."""
        delay_sec = self._push_delay.observe(transaction_ms, frame.received)
        self._clock_sync.saw_delay(delay_sec)
        self._metrics.send(Observe("p33_push_latency_seconds", max(0.0, delay_sec)))

    def _begin(self, connection: StreamConnection) -> None:
        """Begin a session with `connection`, which is proven."""
        self._current = connection
        self._begun_sec = trio.current_time()
        epoch = self._status.epoch + 1
        self._update_status(epoch=epoch, connected_since=connection.since)
        self._to_all_shards(StreamConnected(epoch, connection.since))
        self._log.info("private stream: connected", epoch=epoch)

    def _prove(self, connection: StreamConnection, ping_sent: Moment) -> None:
        """Prove the session until `ping_sent`, less the allowance for the push delay.

        The first proof begins the session, so that connections that are never proven cost no reads.
        """
        if self._session.cancel_called:
            return
        if self._current is None:
            self._begin(connection)
        allowance_sec = self._push_delay.allowance_sec(ping_sent)
        as_of, proven = ping_sent.earlier_by(allowance_sec), self._status.proven_as_of
        if connection is not self._current or (proven is not None and as_of <= proven):
            return
        if proven is None:
            self._metrics.send(SetGauge("p33_stream_trusted", 1))
        self._update_status(proven_as_of=as_of, allowance_sec=allowance_sec)
        self._to_all_shards(StreamProven(self._status.epoch, as_of))

    def _lose(self, why: str, *, meant: bool = False) -> None:
        """End the session, if there is one: no proof counts from now on. `meant`: it was ended on purpose."""
        self._session.cancel()
        if self._current is None:
            return
        self._current = None
        self._pauses.ran(trio.current_time() - self._begun_sec)
        now = self._clock.now()
        self._book.lose_trust(now)
        self._to_all_shards(StreamLost(self._status.epoch, now, why))
        self._metrics.send(SetGauge("p33_stream_trusted", 0))
        self._update_status(
            connected_since=None,
            proven_as_of=None,
            losses=self._status.losses + 1,
            last_loss=why,
            last_lost_at=now,
        )
        log = self._log.info if meant else self._log.warning
        log("private stream: lost", why=why, epoch=self._status.epoch)

    def _to_all_shards(self, message: StreamConnected | StreamProven | StreamLost) -> None:
        for inbox in self._shards:
            inbox.send(message)

    def _update_status(self, **changes: int | float | str | Moment | None) -> None:
        self._status = msgspec.structs.replace(self._status, **changes)
        self._status_channel.send(self._status)
