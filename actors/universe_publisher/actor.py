"""Publishes the universe, chosen from the exchange's listing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from actors.universe_publisher.publications import (
    NextState,
    Publications,
    PublisherRules,
    another_publisher,
    stored,
    stored_volumes,
)
from actors.waiting import RETRYABLE_REDIS_ERRORS, RedisTrouble, lease_fence
from brain.identifiers import FencingToken
from brain.symbols.publication import NO_READS, Judgement, Listing, Outcome, is_repeated
from brain.symbols.record import UniverseInput, audit_fields, judge_input
from brain.symbols.universe_text import volumes_text
from channels import (
    Count,
    DropOldest,
    LatestValue,
    Lease,
    ListingFailed,
    ListingRead,
    MetricEvent,
    UniverseChannels,
    UniverseState,
    VolumesRead,
)
from clocks.clocks import Clocks
from store.errors import FencedError
from store.protocol import UniversePublisherStore
from store.universe_records import PublishedUniverse
from supervision import Heartbeat

_ATTEMPTS = 5
_PAUSE_SEC = 0.1
#: The lists of another publisher are looked at so often, until they are old.
_LOOK_SEC = 1.0
#: A listing that does not come for so many refreshes counts as a failed read.
_PATIENCE_REFRESHES = 2.0
#: The first volumes are waited for so long: a list without them may have symbols that one with them has not.
_VOLUMES_PATIENCE_SEC = 5.0
#: A read confirms that a list shrank so many refreshes after the last that did; others ask for reads, too.
_CONFIRMING_REFRESHES = 0.9


class AnotherPublisherError(Exception):
    """Another publisher, which is not of this service, writes the universe."""


class UniversePublisher:
    """Publishes what the candidate planner has read of the listing, while this instance holds the lease.

    What cannot be published leaves the previous list, marked as stale. The active list expires once its
    publisher is gone: each refresh prolongs its life, whatever came of it. Beside another publisher this one
    waits.
    """

    def __init__(
        self,
        store: UniversePublisherStore,
        channels: UniverseChannels,
        lease: LatestValue[Lease],
        *,
        rules: PublisherRules,
        metrics: DropOldest[MetricEvent],
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._channels = channels
        self._lease = lease
        self._rules = rules
        self._shadow = rules.mode == "shadow"
        self._publications = Publications(rules)
        self._metrics = metrics
        self._clocks = clocks
        self._log = log.bind(shadow=True) if self._shadow else log
        self._trouble = RedisTrouble(f"Redis at {store.address}", self._log)
        #: Another publisher was found and logged.
        self._beside_another = False
        #: The last one out of the channel.
        self._looked_at: ListingRead | ListingFailed | None = None
        #: The last one whose list was published under this lease.
        self._published: ListingRead | ListingFailed | None = None
        #: The last judgement under this lease.
        self._judged: Judgement | None = None
        #: The row of reads of a shrunk list under this lease.
        self._shrunk = NO_READS
        #: When the read was asked for that last counted as one of those (monotonic clock).
        self._shrunk_sec = 0.0
        #: Those that were written under this lease.
        self._volumes: VolumesRead | None = None

    async def run(self, heartbeat: Heartbeat) -> None:
        """Publish until cancelled."""
        while True:
            try:
                await self._publish(await lease_fence(self._lease, heartbeat, self._trouble), heartbeat)
            except FencedError:
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_PAUSE_SEC)
            except AnotherPublisherError as another:
                self._channels.state.withdraw()
                with heartbeat.waiting_for(str(another)):
                    await trio.sleep(_LOOK_SEC)
            except RETRYABLE_REDIS_ERRORS as trouble:
                self._trouble.begin(trouble, heartbeat)
                with heartbeat.waiting_for(self._trouble.text):
                    await trio.sleep(_PAUSE_SEC)

    async def _publish(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Publish under one lease.

        Raises FencedError when it is lost, AnotherPublisherError beside one, and as the store does.
        """
        self._looked_at = self._published = self._volumes = self._judged = None
        self._shrunk = NO_READS
        await self._write(self._publications.bootstrap, fence)
        with heartbeat.idle(), trio.move_on_after(_VOLUMES_PATIENCE_SEC):
            await self._channels.volumes.get()
        while True:
            self._trouble.over()
            listing = await self._next_listing(heartbeat)
            if self._is_due(listing):
                await self._apply(listing, fence)
            heartbeat.beat()

    async def _next_listing(self, heartbeat: Heartbeat) -> ListingRead | ListingFailed:
        """Wait for a listing that was not looked at yet; return a failure where none comes."""
        channel, patience_sec = self._channels.listing, _PATIENCE_REFRESHES * self._rules.refresh_sec
        listing, now = channel.value, self._clocks.now()
        if listing is None or listing is self._looked_at or listing.asked.age_sec(now) > patience_sec:
            listing = None
            with heartbeat.idle(), trio.move_on_after(patience_sec):
                listing = await channel.changed()
        if listing is not None:
            self._looked_at = listing
            return listing
        error = f"exchangeInfo was not read for {patience_sec:g} s"
        if isinstance(channel.value, ListingFailed):
            error = channel.value.error
        return ListingFailed(error, self._clocks.now())

    def _is_due(self, listing: ListingRead | ListingFailed) -> bool:
        """Return False for a read after which another comes before the next refresh is due."""
        if self._published is None:
            return True
        since_sec = listing.asked.monotonic_sec - self._published.asked.monotonic_sec
        return since_sec >= self._rules.refresh_sec - self._rules.listing_sec

    async def _apply(self, listing: ListingRead | ListingFailed, fence: FencingToken) -> None:
        """Judge the listing, and write what follows."""
        now_ms, volumes = await self._clocks.ask_redis(self._store), self._known_volumes()
        judged: list[Judgement] = []

        def next_state(found: PublishedUniverse) -> NextState:
            given = self._input(listing, volumes, found)
            judged[:] = [judge_input(given)]
            asof, text = self._asof(listing, now_ms), self._volumes_written(volumes, now_ms)
            audit = self._audit(judged[0], given, now_ms)
            return self._publications.next(judged[0], found, asof, text, audit)

        if not await self._write(next_state, fence):
            self._metrics.send(Count("universe_refresh_total", ("state_contended",)))
            self._log.warning("Universe: another publisher changes the last good list", attempts=_ATTEMPTS)
            return
        outcome, self._judged = judged[0].outcome, judged[0]
        self._published = listing if outcome is Outcome.PUBLISHED else None
        if outcome is Outcome.SHRANK and judged[0].shrunk != self._shrunk:
            self._shrunk_sec = listing.asked.monotonic_sec
        self._shrunk = judged[0].shrunk
        self._volumes = volumes
        self._metrics.send(Count("universe_refresh_total", (outcome,)))
        for change, _ in judged[0].changes:
            self._metrics.send(Count("universe_changes_total", (change,)))

    def _counts(self, listing: ListingRead) -> bool:
        """Return True for a read that was asked for a refresh after the last one that counted."""
        later_sec = listing.asked.monotonic_sec - self._shrunk_sec
        return later_sec >= _CONFIRMING_REFRESHES * self._rules.refresh_sec

    def _input(
        self, listing: ListingRead | ListingFailed, volumes: VolumesRead | None, found: PublishedUniverse
    ) -> UniverseInput:
        rules, before = self._rules.universe, stored(found)
        if isinstance(listing, ListingFailed):
            return UniverseInput(None, before, rules, self._shrunk, failed=listing.error)
        read = Listing(
            listing.contracts,
            self._clocks.exchange_ms(listing.asked),
            stored_volumes(found, rules) if volumes is None else volumes.by_symbol,
            listing.unreadable,
        )
        return UniverseInput(read, before, rules, self._shrunk, self._counts(listing))

    def _audit(self, judgement: Judgement, given: UniverseInput, now_ms: int) -> tuple[str, ...]:
        """Return the audit entry of a judgement; none of one that repeats the last without an event."""
        if not judgement.changes and is_repeated(judgement, self._judged):
            return ()
        return audit_fields(
            judgement, given, decided_ms=now_ms, issued_by=self._rules.instance, shadow=self._shadow
        )

    def _known_volumes(self) -> VolumesRead | None:
        """Return the volumes, while they are no older than their life in Redis."""
        volumes = self._channels.volumes.value
        if volumes is None or volumes.asked.age_sec(self._clocks.now()) > 2 * self._rules.volume_sec:
            return None
        return volumes

    def _volumes_written(self, volumes: VolumesRead | None, now_ms: int) -> str:
        """Return the text of volumes that were not written under this lease yet, else none."""
        if volumes is None or volumes is self._volumes:
            return ""
        return volumes_text(volumes.by_symbol, asof_epoch=self._asof(volumes, now_ms))

    async def _write(
        self, next_state: Callable[[PublishedUniverse], NextState | None], fence: FencingToken
    ) -> bool:
        """Write and show what follows from what is found; again, where the last good list has changed.

        Raises AnotherPublisherError for the list of another one, and as the store does.
        """
        for _ in range(_ATTEMPTS):
            found = await self._store.published_universe(shadow=self._shadow)
            await self._look_for_another(found)
            following = next_state(found)
            if following is None:
                return True
            if await self._store.publish_universe(
                fence, following.write, rests_on=found.last_ok, shadow=self._shadow
            ):
                self._show(msgspec.structs.replace(following.state, fence=fence))
                return True
        return False

    async def _look_for_another(self, found: PublishedUniverse) -> None:
        """Raise AnotherPublisherError if another one works; log that, once. The shadow's keys are its own."""
        if self._shadow:
            return
        now_sec = await self._clocks.ask_redis(self._store) / 1000
        lists, rules = (found.active, found.last_ok), self._rules
        another = another_publisher(lists, rules.active_key, now_sec=now_sec, refresh_sec=rules.refresh_sec)
        if another is not None and not self._beside_another:
            self._log.warning(f"{'P33_TAKE_OVER' if self._rules.take_over else 'Waiting'}: {another}")
        self._beside_another = another is not None
        if another is not None and not self._rules.take_over:
            raise AnotherPublisherError(another)

    def _asof(self, read: ListingRead | ListingFailed | VolumesRead, now_ms: int) -> int:
        """Return the moment of which a read is true (Redis's clock, epoch seconds)."""
        return int(now_ms / 1000 - read.asked.age_sec(self._clocks.now()))

    def _show(self, state: UniverseState) -> None:
        """Publish the state in process, and log it: a list each time, a fault when it begins or changes."""
        before = self._channels.state.value
        self._channels.state.send(state)
        if not state.stale:
            self._log.info(f"Published universe: {state.count} symbols, asof={state.asof_epoch}")
        elif before is None or before.error != state.error:
            self._log.warning(f"Universe marked stale: {state.error}")
