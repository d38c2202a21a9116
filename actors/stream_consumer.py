"""The consumer of a stream under the lease, and the count of its entries' failures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.one_player import OnePlayer
from actors.waiting import RETRYABLE_REDIS_ERRORS, RedisTrouble, lease_fence
from brain.identifiers import EntryId, FencingToken
from channels import LatestValue, Lease
from clocks.clocks import Clocks, ShowsRedisTime
from store.entry_groups import apart
from store.entry_times import EntryTimes
from store.errors import FencedError, GroupLostError
from store.protocol import AddressedStore, ConsumerGroup
from store.records import Entry
from supervision import Heartbeat

#: An entry that has failed so often is answered without being worked on again: see `FailureCounter`.
MOST_FAILURES = 3
#: Entries recovered together, but for those that have failed.
RECOVERED_TOGETHER = 64
_BLOCK_MS = 2_000
_SWEEP_SEC = 1.0
_LEFT_PENDING_MS = 1_500
_LONG_IN_HAND_SEC = 1.0
_PAUSE_SEC = 0.1


class FailureCounter:
    """Failures by entry, so that an entry whose handling raises each time does not fail for ever.

    Such an entry crashes its actor, which the supervisor restarts, and is recovered and tried again, alone.
    After `MOST_FAILURES` its role answers it without trying: the permit evaluator denies the plan as
    `evaluation_failed` (`permit_evaluator.plans`) with a dead letter (`permit_evaluator.deciding`), the
    ledger writer writes a dead letter (`ledger_writer.batch_booking`). A result's count begins at 0 in each
    process. Keep the counter across restarts of the actor.
    Two cases do not wait for three failures, since trying again changes nothing: a plan whose commit meets
    a key of a wrong type or a text that this service never wrote, and a result that meets a key of a wrong
    type.
    """

    def __init__(self) -> None:
        self._failed: dict[EntryId, int] = {}

    def of(self, entry_id: EntryId, deliveries: int = 1) -> int:
        """Return the entry's failures. Its deliveries from before this process count as failures.

        Leave `deliveries` out where entries stay pending without having failed, as results that wait for an
        operator do. In this process's own life an entry that was in hand while something else crashed has not
        failed.
        """
        failed = self._failed.setdefault(entry_id, deliveries - 1)
        if len(self._failed) > _MOST_REMEMBERED:
            # Entries that Redis has lost are never done.
            del self._failed[next(iter(self._failed))]
        return failed

    def has_failed(self, entry_id: EntryId) -> bool:
        """Return True for an entry that has failed and is not done."""
        return self._failed.get(entry_id, 0) > 0

    @contextmanager
    def attributed_to(self, entry_ids: Sequence[EntryId]) -> Iterator[None]:
        """Count an error out of the block, as of a common commit, as a failure of each entry.

        Interruptions do not count.
        """
        try:
            yield
        except _INTERRUPTIONS:
            raise
        except Exception:
            for entry_id in entry_ids:
                self._failed[entry_id] = self._failed.get(entry_id, 0) + 1
            raise

    def done(self, entry_id: EntryId) -> None:
        """Forget an entry that is acknowledged."""
        self._failed.pop(entry_id, None)

    def keep(self, pending: Container[EntryId]) -> None:
        """Forget all entries but those pending: others were acknowledged elsewhere, or are lost."""
        self._failed = {each: failed for each, failed in self._failed.items() if each in pending}


#: Errors whose cause is not the entry: the actor is stopped, Redis is away, the lease or the group is lost.
_INTERRUPTIONS = (trio.Cancelled, *RETRYABLE_REDIS_ERRORS, FencedError, GroupLostError)
#: Many times what is ever in hand at once.
_MOST_REMEMBERED = 10_000


class Session(msgspec.Struct, frozen=True):
    """Consuming under one lease, from its beginning to a stop or an error."""

    fence: FencingToken
    heartbeat: Heartbeat
    #: Tasks that are cancelled when reading has ended.
    background: trio.Nursery
    #: Tasks that go on with entries behind `handle`; a stop waits for them.
    unfinished: trio.Nursery


class Batch(msgspec.Struct, frozen=True):
    """Entries to be handled, oldest first, none of which is being handled elsewhere.

    `new_until`: the last id of a read of new entries, None for recovered ones. `read_on` lets the next batch
    be read while this one is handled, with more than one reader.
    """

    entries: list[Entry]
    session: Session
    heartbeat: Heartbeat
    new_until: EntryId | None
    read_on: Callable[[], None]

    @property
    def fence(self) -> FencingToken:
        """The lease that writes for these entries need."""
        return self.session.fence


class ConsumerStore(AddressedStore, ShowsRedisTime, Protocol):
    """The store of an actor that reads a stream, beside its consumer group."""


class StreamConsumer(ABC):
    """Hands all entries of a stream to `handle`, while this instance holds the lease.

    An entry stays pending until the role acknowledges it, in the script that writes its outcome. Entries that
    are pending when an actor, a process or Redis dies are recovered: all of them at the start of a session,
    oldest first, and each second those that have lain idle for 1.5 s. After an error of Redis, a lost lease
    or a lost group a new session begins. At a stop the read is cancelled, and what is in hand is finished.

    A role needs a `ConsumerGroup` in its store, a `FailureCounter` that outlives it, and this:

        class IntentBridge(StreamConsumer):
            async def handle(self, batch: Batch) -> None:
                for entry in batch.entries:
                    if self.failures.of(entry.id) >= MOST_FAILURES:
                        await self.group.dead_letter(batch.fence, entry.id, dead_letter(entry))
                    else:
                        with self.failures.attributed_to((entry.id,)):
                            await self._write_proposal(entry, batch.fence)
                    self.failures.done(entry.id)

    `begin`, `recovered` and `sweep` are there for roles that have more to do.
    """

    def __init__(
        self,
        group: ConsumerGroup,
        store: ConsumerStore,
        lease: LatestValue[Lease],
        failures: FailureCounter,
        *,
        clocks: Clocks,
        log: FilteringBoundLogger,
        batch: int = 64,
        readers: int = 1,
        one_player: OnePlayer | None = None,
    ) -> None:
        """`batch`: new entries read at once, until changed. `readers`: batches in hand at once; one reads.
        `one_player`: what a role waits for before it reads."""
        self.group = group
        self.failures = failures
        self.times = EntryTimes(clocks, store, group.stream.rpartition(":")[2])
        self._redis_time = store
        self._lease = lease
        self._clocks = clocks
        self._trouble = RedisTrouble(f"Redis at {store.address}", log)
        self._log = log
        self.batch = batch
        self._readers = readers
        self._one_player = one_player
        #: Entries being handled, and since when. A late reply can deliver one that the sweep has claimed.
        self._in_hand: dict[EntryId, float] = {}
        self._reading = trio.CancelScope()

    @abstractmethod
    async def handle(self, batch: Batch) -> None:
        """Deal with each entry of the batch. One that is not acknowledged then comes again."""

    async def begin(self, session: Session) -> None:  # noqa: B027 - few roles need it
        """Prepare for the entries of a session."""

    async def recovered(self, session: Session) -> None:  # noqa: B027 - few roles need it
        """Go on to new entries: the pending ones have been handled."""

    async def sweep(self, session: Session) -> None:  # noqa: B027 - few roles need it
        """Do what is due each second, before idle entries are recovered; the heartbeat is its own."""

    async def run(self, heartbeat: Heartbeat) -> None:
        """Consume until asked to stop; what is in hand then is finished."""
        had_group = False
        while not heartbeat.stopping.is_set():
            try:
                # Before the lease is waited for: entries that are published until then must not be missed.
                await self.group.create(lost=had_group)
                if not had_group:
                    self._log.info(f"Consumer group: {self.group.group} on {self.group.stream}")
                had_group = True
                fence = await lease_fence(self._lease, heartbeat, self._trouble)
                if self._one_player is None or await self._one_player.wait(fence, self._lease, heartbeat):
                    await self._consume(fence, heartbeat)
            except* FencedError:
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_PAUSE_SEC)
            except* GroupLostError:
                self.times.forget(stream_is_new=True)
                self._log.warning("Consumer group lost", stream=self.times.stream)
            except* RETRYABLE_REDIS_ERRORS as trouble:
                self._trouble.begin(trouble, heartbeat)
                with heartbeat.waiting_for(self._trouble.text):
                    await trio.sleep(_PAUSE_SEC)

    async def _consume(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as unfinished, trio.open_nursery() as background:
            session = Session(fence, heartbeat, background, unfinished)
            background.start_soon(self._stop_reading, heartbeat)
            await self._clocks.ask_redis(self._redis_time)
            self.times.begin()
            await self.begin(session)
            self.failures.keep(await self._recover(session, heartbeat, idle_ms=0))
            await self.recovered(session)
            background.start_soon(self._sweep, session)
            turn = trio.Lock()
            async with trio.open_nursery() as readers:
                for _ in range(self._readers - 1):
                    readers.start_soon(self._read_beside, turn, session)
                await self._read(turn, session, heartbeat)
            background.cancel_scope.cancel()

    async def _stop_reading(self, heartbeat: Heartbeat) -> None:
        await heartbeat.stopping.wait()
        self._reading.cancel()

    async def _sweep(self, session: Session) -> None:
        """Find entries that were delivered and are handled by no task: a reader died, or a reply was lost."""
        with session.heartbeat.task() as task:
            own = msgspec.structs.replace(session, heartbeat=task)
            while True:
                with task.idle():
                    await trio.sleep(_SWEEP_SEC)
                await self.sweep(own)
                # What is long in hand lies idle, too, and each recovery counts as one more delivery.
                now_sec = trio.current_time()
                if now_sec - min(self._in_hand.values(), default=now_sec) < _LONG_IN_HAND_SEC:
                    await self._recover(session, task, idle_ms=_LEFT_PENDING_MS)

    async def _recover(self, session: Session, heartbeat: Heartbeat, *, idle_ms: int) -> set[EntryId]:
        """Handle entries that were delivered before and not acknowledged, oldest first. Returns their ids.

        One that has failed is handled alone: it must not take others with it each time.
        """
        recovered, after = set[EntryId](), "0"
        while entries := await self.group.recover(
            fence=session.fence, after=after, idle_ms=idle_ms, count=RECOVERED_TOGETHER
        ):
            heartbeat.beat()
            after = entries[-1].id  # some stay pending: those that are in hand, or wait for an operator
            recovered.update(entry.id for entry in entries)
            dated = [await self.times.recovered(entry) for entry in entries]
            for together in apart(dated, self.failures.has_failed):
                await self._hand_over(together, session, heartbeat)
        return recovered

    async def _read_beside(self, turn: trio.Lock, session: Session) -> None:
        with session.heartbeat.task() as task:
            await self._read(turn, session, task)

    async def _read(self, turn: trio.Lock, session: Session, heartbeat: Heartbeat) -> None:
        """Read new entries and handle them until a stop."""
        while True:
            with ExitStack() as reading:
                with heartbeat.idle():
                    await turn.acquire()
                reading.callback(turn.release)
                if session.heartbeat.stopping.is_set():
                    return
                entries = await self._read_new(heartbeat)
                if entries:
                    await self._hand_over(entries, session, heartbeat, entries[-1].id, reading.close)

    async def _read_new(self, heartbeat: Heartbeat) -> list[Entry]:
        """Wait for new entries, up to 2 s; empty where a stop ended the wait."""
        entries: list[Entry] = []
        sent, count = self._clocks.now(), self.batch
        with heartbeat.idle(), trio.CancelScope() as self._reading:
            block_ms = self.times.block_ms(_BLOCK_MS)
            entries = await self.group.read_new(count=count, block_ms=block_ms)
        self._trouble.over()
        return await self.times.delivered(entries, sent, full=len(entries) == count)

    async def _hand_over(
        self,
        entries: Sequence[Entry],
        session: Session,
        heartbeat: Heartbeat,
        new_until: EntryId | None = None,
        read_on: Callable[[], None] = lambda: None,
    ) -> None:
        free = [entry for entry in entries if entry.id not in self._in_hand]
        if not free and new_until is None:
            return
        ids = [entry.id for entry in free]
        self._in_hand |= dict.fromkeys(ids, trio.current_time())
        try:
            await self.handle(Batch(free, session, heartbeat, new_until, read_on))
        finally:
            for entry_id in ids:
                del self._in_hand[entry_id]
        heartbeat.beat()
