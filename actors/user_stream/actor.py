"""The private stream: what the account does, pushed as it happens, and the proof that silence means quiet.

A *period* is unbroken listening: it begins when a connection and its listen key are proven, counts from when
that connection stood, and ends when anything might have been missed. Within a period the connection is
replaced once a day, old and new overlapping, so that the same events come twice for a while. A repeated
account update is left out: behind a newer one of the other connection it would look out of order. A repeated
fill is harmless: it carries its order's cumulative quantity, of which only the growth counts.

Source: Binance USDⓈ-M Futures, "User Data Streams": a listen key lives 60 min, a connection 24 h;
POST returns the account's live key, or makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.user_stream.clock_sync import ClockComparison
from actors.user_stream.connection import StreamLine
from brain.moment import Moment
from channels import (
    Conflating,
    Count,
    DropOldest,
    LatestValue,
    MetricEvent,
    Observe,
    OrderObserved,
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
from exchange.errors import AskLater, ExchangeError, ExchangeUnavailable, UnreadableEvent
from exchange.protocol import Exchange, Frame, Priority, StreamConnector
from exchange.push_delay import PushDelay
from exchange.user_data import AccountUpdate, Fill, LeverageChanged, ListenKeyExpired, OrderEnded, read_event
from supervision import Heartbeat
from supervision.backoff import Backoff, RestartDelays

ROTATE_AFTER_SEC = 23 * 3600.0
#: How long old and new connection are heard together, beyond the push delay that was seen.
OVERLAP_SEC = 5.0
_RETRY_ROTATION_SEC = 60.0
#: Only a period that lasted 30 s shortens the pauses again: connections that end sooner are no progress.
#: One that was proven for 5 s is followed by another within 0.5 s, all the same: without the stream,
#: decisions rest on reads alone.
_SERVED_SEC = 5.0
_PAUSE_AFTER_SERVICE_SEC = 0.5
_BACKOFF = Backoff(initial_sec=0.1, maximum_sec=20.0, jitter=0.5, healthy_after_sec=30.0)
#: More account updates than one connection can be behind the other.
_REMEMBERED_UPDATES = 1_000
#: A push that seems to come so much later, or earlier, than it happened rather shows a misjudged clock.
_ODD_DELAY_SEC = 1.0


class UserStream:
    """Owns the connection, the listen key, and the proof of life."""

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
        logger: FilteringBoundLogger,
    ) -> None:
        """`status` and `limit` outlive the actor: periods and connections are counted on from there.
        `proof_sec`: between pings."""
        self._exchange = exchange
        self._connector = connector
        self._clock = clock
        self._book = book
        self._shards = shards
        self._shard_of = shard_of
        self._fills = fills
        self._metrics = metrics
        self._told = status
        self._status = status.value or StreamStatus()
        self._limit = limit
        self._proof_sec = proof_sec
        self._rng = rng
        self._logger = logger
        self._push_delay = PushDelay(exchange.exchange_ms)
        self._clocks = ClockComparison(exchange, logger)
        self._delays = RestartDelays(_BACKOFF, rng)
        self._current: StreamLine | None = None
        self._begun_sec = 0.0
        self._served_sec = 0.0
        self._period = trio.CancelScope()
        self._updates: dict[str | bytes, None] = {}

    async def run(self, heartbeat: Heartbeat) -> None:
        """Listen, and after each loss listen again, until cancelled. The listen key is left alive."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._clocks.run)
            while True:
                refusal = await self._listen(heartbeat)
                with heartbeat.waiting_for("Binance's private stream"):
                    await trio.sleep(self._pause_sec(refusal))

    async def _listen(self, heartbeat: Heartbeat) -> ExchangeError | None:
        """One period, from connecting to its loss; or why there was no connection."""
        refusal: ExchangeError | None = None
        self._period = trio.CancelScope()
        try:
            with self._period:
                async with trio.open_nursery() as nursery:
                    try:
                        with heartbeat.waiting_for("Binance's private stream"):
                            line: StreamLine = await nursery.start(self._carry_line, heartbeat)
                            await line.proven_since(line.since)
                        nursery.start_soon(self._end_on_divergence)
                        nursery.start_soon(self._rotate, nursery, heartbeat)
                        with heartbeat.idle():
                            await trio.sleep_forever()
                    except ExchangeError as error:
                        refusal = error
                        self._logger.warning("private stream: not connected", error=str(error))
        finally:
            stopping = heartbeat.stopping.is_set()
            self._lose("the service is stopping" if stopping else "the actor was stopped", meant=stopping)
        return refusal

    def _pause_sec(self, refusal: ExchangeError | None) -> float:
        pause_sec = self._delays.next_sec()
        if self._served_sec >= _SERVED_SEC:
            pause_sec = min(pause_sec, _PAUSE_AFTER_SERVICE_SEC)
        self._served_sec = 0.0
        if isinstance(refusal, AskLater):
            pause_sec = max(pause_sec, refusal.until.monotonic_sec - self._clock.now().monotonic_sec)
            return pause_sec + self._rng.uniform(0.0, 1.0)
        return pause_sec

    async def _carry_line(
        self, heartbeat: Heartbeat, *, task_status: trio.TaskStatus[StreamLine] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Connect, report the line as started, keep it until it ends. Raises ExchangeError before that."""
        refusal: ExchangeError | None = None
        async with trio.open_nursery() as sockets:
            try:
                listen_key = await self._exchange.create_listen_key()
                await self._limit.turn(Priority.VITAL)
                connection = await self._connector.connect(sockets, listen_key)
            except ExchangeError as error:
                refusal = error
            else:
                line = StreamLine(
                    connection,
                    listen_key,
                    self._clock.now(),
                    clock=self._clock,
                    proof_sec=self._proof_sec,
                    keep_alive=self._exchange.keep_alive_listen_key,
                    hear=self._hear,
                    answered=self._prove,
                    rng=self._rng,
                    log=self._logger,
                )
                try:
                    task_status.started(line)
                    with heartbeat.strand() as strand:
                        why = await line.run(strand)
                    if line is self._current:
                        self._lose(why)
                    elif self._current is None:
                        self._logger.warning("private stream: connection ended unproven", why=why)
                        self._period.cancel()
                finally:
                    await connection.aclose()
            sockets.cancel_scope.cancel()
        if refusal is not None:
            raise refusal

    async def _end_on_divergence(self) -> None:
        """End the period when a read shows a position that its connection should have pushed."""
        while True:
            lost_at, line = self._book.trust_lost_at, self._current
            if line is not None and lost_at is not None and lost_at > line.since:
                self._lose("diverged from the exchange")
            await self._book.trust_lost()

    async def _rotate(self, nursery: trio.Nursery, heartbeat: Heartbeat) -> None:
        """Replace the connection before the exchange ends it, without missing anything."""
        pause_sec = ROTATE_AFTER_SEC
        while True:
            await trio.sleep(pause_sec * self._rng.uniform(0.98, 1.0))
            pause_sec = _RETRY_ROTATION_SEC
            try:
                joining: StreamLine = await nursery.start(self._carry_line, heartbeat)
            except ExchangeError as error:
                self._logger.warning("private stream: no connection to rotate to", error=str(error))
                continue
            if await self._hand_over(joining):
                pause_sec = ROTATE_AFTER_SEC
                self._logger.info("private stream: rotated to a new connection")

    async def _hand_over(self, joining: StreamLine) -> bool:
        """Make `joining` the line that is relied on. False if it ended before that.

        The old line has to answer a ping sent well after the new one stood: by then it has told everything
        from before, and the new one tells everything since.
        """
        if not await joining.proven_since(joining.since):
            return False
        leaving = self._current
        if leaving is not None and leaving.listen_key != joining.listen_key:
            # The old key is dead, and the old connection was silent from then on.
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

    def _hear(self, frame: Frame) -> None:
        """Hand on what a frame tells. Raises ExchangeError when nothing after it can be relied on."""
        try:
            event_type, event = read_event(frame)
        except UnreadableEvent:
            self._metrics.send(Count("p33_stream_events_total", ("unreadable",)))
            raise
        self._metrics.send(Count("p33_stream_events_total", (event_type,)))
        match event:
            case AccountUpdate() if self._is_repeated(frame):
                pass
            case AccountUpdate():
                self._time_push(event.transaction_ms, frame)
                for position in event.positions:
                    self._shards[self._shard_of(position.symbol)].send(position)
            case Fill():
                self._time_push(event.fill.transaction_ms, frame)
                self._shards[self._shard_of(event.fill.symbol)].send(event.fill)
                self._fills.send(event.fill)
            case OrderEnded():
                self._fills.send(event.end)
            case LeverageChanged():
                self._shards[self._shard_of(event.change.symbol)].send(event.change)
            case ListenKeyExpired():
                raise ExchangeUnavailable("the listen key expired")

    def _is_repeated(self, frame: Frame) -> bool:
        """Say if this account update was received before, from the other connection of an overlap."""
        if frame.raw in self._updates:
            return True
        self._updates[frame.raw] = None
        if len(self._updates) > _REMEMBERED_UPDATES:
            del self._updates[next(iter(self._updates))]
        return False

    def _time_push(self, transaction_ms: int, frame: Frame) -> None:
        """Learn from a push how long pushes take; have the clocks compared where its date looks odd."""
        delay_sec = self._push_delay.observe(transaction_ms, frame.received)
        if abs(delay_sec) > _ODD_DELAY_SEC:
            self._clocks.saw_odd_date()
        self._metrics.send(Observe("p33_push_latency_seconds", max(0.0, delay_sec)))

    def _begin(self, line: StreamLine) -> None:
        """A period begins with `line`, which is proven."""
        self._current = line
        self._begun_sec = trio.current_time()
        epoch = self._status.epoch + 1
        self._tell(epoch=epoch, connected_since=line.since)
        self._to_all_shards(StreamConnected(epoch, line.since))
        self._logger.info("private stream: connected", epoch=epoch)

    def _prove(self, line: StreamLine, ping_sent: Moment) -> None:
        """Record that all that the exchange did until shortly before `ping_sent` has been pushed.

        The first such proof begins the period, so that connections that come to nothing cost no reads.
        """
        if self._period.cancel_called:
            return
        if self._current is None:
            self._begin(line)
        allowance_sec = self._push_delay.allowance_sec(ping_sent)
        as_of = ping_sent.earlier_by(allowance_sec)
        proven = self._status.proven_as_of
        if line is not self._current or (proven is not None and as_of <= proven):
            return
        if proven is None:
            self._metrics.send(SetGauge("p33_stream_trusted", 1))
        self._tell(proven_as_of=as_of, allowance_sec=allowance_sec)
        self._to_all_shards(StreamProven(self._status.epoch, as_of))

    def _lose(self, why: str, *, meant: bool = False) -> None:
        """End the period, if there is one: from now on silence means nothing. `meant`: as it should be."""
        self._period.cancel()
        if self._current is None:
            return
        self._current = None
        self._served_sec = trio.current_time() - self._begun_sec
        self._delays.ran(self._served_sec)
        now = self._clock.now()
        self._book.lose_trust(now)
        self._to_all_shards(StreamLost(self._status.epoch, now, why))
        self._metrics.send(SetGauge("p33_stream_trusted", 0))
        self._tell(
            connected_since=None,
            proven_as_of=None,
            losses=self._status.losses + 1,
            last_loss=why,
            last_lost_at=now,
        )
        say = self._logger.info if meant else self._logger.warning
        say("private stream: lost", why=why, epoch=self._status.epoch)

    def _to_all_shards(self, message: StreamConnected | StreamProven | StreamLost) -> None:
        for inbox in self._shards:
            inbox.send(message)

    def _tell(self, **changes: int | float | str | Moment | None) -> None:
        self._status = msgspec.structs.replace(self._status, **changes)
        self._told.send(self._status)
