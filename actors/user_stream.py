"""The private stream: what the account does, pushed as it happens, and the proof that silence means quiet.

A *period* is unbroken listening: it begins when a connection stands, and ends when anything might have been
missed. Within a period the connection is replaced once a day, old and new overlapping, so that both tell the
same things for a while. Those repetitions are harmless downstream: positions are ordered by the exchange's
transaction time, and a fill carries its order's cumulative quantity, of which only the growth counts.

Source: Binance USDⓈ-M Futures, "User Data Streams": a listen key lives 60 min, a connection 24 h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.clock_comparison import ClockComparison
from actors.heartbeat import Heartbeat
from actors.stream_line import StreamLine
from brain.moment import Moment
from channels import (
    Conflating,
    Count,
    DropOldest,
    FillObserved,
    LatestValue,
    MetricEvent,
    Observe,
    SetGauge,
    ShardMessage,
    SnapshotBook,
    StreamConnected,
    StreamLost,
    StreamProven,
    StreamStatus,
)
from clock import Clock
from exchange.errors import (
    AskLater,
    ExchangeError,
    ExchangeUnavailable,
    UnreadableEvent,
)
from exchange.protocol import Exchange, Frame, StreamConnector
from exchange.push_delay import PushDelay
from exchange.user_data import AccountUpdate, Fill, LeverageChanged, ListenKeyExpired, read_event

KEEP_ALIVE_SEC = 30 * 60.0
#: A listen key lives 60 min; one that was not extended for so long may be gone before that is known.
LISTEN_KEY_TRUSTED_SEC = 55 * 60.0
ROTATE_AFTER_SEC = 23 * 3600.0
#: How long old and new connection are heard together, beyond the push delay that was seen.
OVERLAP_SEC = 5.0
_RETRY_KEEP_ALIVE_SEC = 30.0
_RETRY_ROTATION_SEC = 60.0
_SHORTEST_BACKOFF_SEC = 0.1
_LONGEST_BACKOFF_SEC = 20.0
#: A float overflows at 1024 of them.
_MOST_DOUBLINGS = 10


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
        fills: DropOldest[FillObserved],
        metrics: DropOldest[MetricEvent],
        status: LatestValue[StreamStatus],
        proof_sec: float,
        rng: Random,
        logger: FilteringBoundLogger,
    ) -> None:
        """`status` outlives the actor: periods are counted on from there. `proof_sec`: between pings."""
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
        self._proof_sec = proof_sec
        self._rng = rng
        self._logger = logger
        self._push_delay = PushDelay(exchange.exchange_ms)
        self._clocks = ClockComparison(exchange, logger)
        self._current: StreamLine | None = None
        self._period = trio.CancelScope()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Listen, and after each loss listen again, until cancelled. The listen key is left alive."""
        failures = 0
        while True:
            refusal = await self._listen(heartbeat)
            failures = 0 if refusal is None else failures + 1
            with heartbeat.waiting_for("Binance's private stream"):
                await trio.sleep(self._pause_sec(failures, refusal))

    async def _listen(self, heartbeat: Heartbeat) -> ExchangeError | None:
        """One period, from connecting to its loss; or why none began."""
        refusal: ExchangeError | None = None
        self._period = trio.CancelScope()
        try:
            with self._period:
                async with trio.open_nursery() as nursery:
                    try:
                        with heartbeat.waiting_for("Binance's private stream"):
                            await nursery.start(self._carry_line, heartbeat)
                        nursery.start_soon(self._keep_alive)
                        nursery.start_soon(self._clocks.run)
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

    def _pause_sec(self, failures: int, refusal: ExchangeError | None) -> float:
        pause_sec = min(_LONGEST_BACKOFF_SEC, _SHORTEST_BACKOFF_SEC * 2.0 ** min(failures, _MOST_DOUBLINGS))
        if isinstance(refusal, AskLater):
            pause_sec = max(pause_sec, refusal.until.monotonic_sec - self._clock.now().monotonic_sec)
            return pause_sec + self._rng.uniform(0.0, 1.0)
        return pause_sec * self._rng.uniform(0.5, 1.0)

    async def _carry_line(
        self, heartbeat: Heartbeat, *, task_status: trio.TaskStatus[StreamLine] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Connect, report the line as started, keep it until it ends. Raises ExchangeError before that."""
        refusal: ExchangeError | None = None
        async with trio.open_nursery() as sockets:
            try:
                listen_key = await self._exchange.create_listen_key()
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
                    hear=self._hear,
                    answered=self._prove,
                )
                try:
                    if self._current is None:
                        self._begin(line)
                    task_status.started(line)
                    with heartbeat.strand() as strand:
                        why = await line.run(strand)
                    if line is self._current:
                        self._lose(why)
                finally:
                    await connection.aclose()
            sockets.cancel_scope.cancel()
        if refusal is not None:
            raise refusal

    async def _keep_alive(self) -> None:
        extended_sec = trio.current_time()
        pause_sec = KEEP_ALIVE_SEC
        while self._current is not None:
            await trio.sleep(pause_sec)
            asked_sec = trio.current_time()
            try:
                await self._exchange.keep_alive_listen_key(self._current.listen_key)
                extended_sec = asked_sec
                pause_sec = KEEP_ALIVE_SEC
            except (ExchangeUnavailable, AskLater) as error:
                self._logger.warning("private stream: listen key not extended", error=str(error))
                if trio.current_time() - extended_sec >= LISTEN_KEY_TRUSTED_SEC:
                    self._lose("the listen key could not be kept alive")
                pause_sec = _RETRY_KEEP_ALIVE_SEC * self._rng.uniform(0.5, 1.0)
            except ExchangeError as error:
                self._lose(f"the listen key was not kept alive: {error}")

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
            case AccountUpdate():
                self._time_push(event.transaction_ms, frame)
                for position in event.positions:
                    self._shards[self._shard_of(position.symbol)].send(position)
            case Fill():
                self._time_push(event.fill.transaction_ms, frame)
                self._shards[self._shard_of(event.fill.symbol)].send(event.fill)
                self._fills.send(event.fill)
            case LeverageChanged():
                self._shards[self._shard_of(event.change.symbol)].send(event.change)
            case ListenKeyExpired():
                raise ExchangeUnavailable("the listen key expired")

    def _time_push(self, transaction_ms: int, frame: Frame) -> None:
        delay_sec = self._push_delay.observe(transaction_ms, frame.received)
        self._clocks.saw_delay(delay_sec)
        self._metrics.send(Observe("p33_push_latency_seconds", max(0.0, delay_sec)))

    def _begin(self, line: StreamLine) -> None:
        """A period begins with `line`."""
        self._current = line
        epoch = self._status.epoch + 1
        self._tell(epoch=epoch, connected_since=line.since)
        self._to_all_shards(StreamConnected(epoch, line.since))
        self._logger.info("private stream: connected", epoch=epoch)

    def _prove(self, line: StreamLine, ping_sent: Moment) -> None:
        """All that the exchange did until shortly before `ping_sent` has been told."""
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
