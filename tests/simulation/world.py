"""A whole world for one seed: exchange, Redis, the service's processes, everybody around, and the judges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from brain.identifiers import FencingToken
from store.keys import GROUP, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.streams import parse_id
from store.records import Adoption, CommitReply, DecisionCommit, ResultCommit
from tests.simulation.books import Books, Grant, Kept
from tests.simulation.chain_side import ChainSide
from tests.simulation.claims import Claims
from tests.simulation.clocks import SteppedClock, true_ms
from tests.simulation.decisions import Decisions
from tests.simulation.executor_side import ExecutorSide
from tests.simulation.failures import ActorFailures
from tests.simulation.field_watch import Requests
from tests.simulation.governor_side import GovernorSide
from tests.simulation.ledgers import Ledgers
from tests.simulation.links import Servers
from tests.simulation.neighbours import Neighbours
from tests.simulation.process import Process
from tests.simulation.reconcile_side import ReconcileSide
from tests.simulation.scene import Scene
from tests.simulation.store import FENCED
from tests.simulation.streams import PrivateStreams
from tests.simulation.trace import Trace
from tests.simulation.venue import ZERO, Venue
from tests.simulation.verdicts import ViolationError, require

#: A silently lost event lives so long beyond the audit interval: an answer, a second in flight, a pause.
_AUDIT_SLACK_SEC = 4.0
#: A process that was answered 418 asks nothing for so long.
_AFTER_BAN_SEC = 60.0
#: Nothing else went wrong since so long before a change, so that no event of before it is still on its way.
_UNDISTURBED_MS = 12_000
#: A read that is sent so soon after another one arrived, or a push, may be older than that.
_APART_MS = 1_100
NAMESAKE = "namesake"  # the second host of the first instance's name


class World:
    """All that there is. Made inside the trio run."""

    def __init__(self, scene: Scene, trace: Trace, *, log_to_trace: bool = False) -> None:
        rng = Random(f"{scene.seed}:world")
        self.scene = scene
        self.trace = trace
        self.violation: ViolationError | None = None
        self.violated = trio.Event()
        #: How often what was brought about.
        self.struck: dict[str, int] = {}
        self.failures = ActorFailures(self)
        self.takeovers = 0
        #: Whether the exchange refuses every request, with answers that mean a ban.
        self.refusing_all = False
        #: When a fault was last struck that may hide another.
        self.disturbed_sec: Callable[[], float] = lambda: 0.0
        self._last_writer = ""
        self.keys = Keys("quantum")
        self.redis_clock = SteppedClock()
        self.redis = MemoryRedis(self.redis_clock.now_ms)
        self.servers = Servers()
        self.venue = Venue(
            seed=scene.seed, symbols=scene.symbols, hedge_mode=scene.hedge_mode, wallet=scene.wallet
        )
        self.venue.faults.rest_latency_ms = scene.rest_ms
        self.venue.faults.rest_jitter_ms = scene.rest_jitter_ms
        self.streams = PrivateStreams(self.venue, Random(rng.random()), scene.push_sec)
        self.books = Books()
        self.neighbours = Neighbours(
            self.books,
            self.venue,
            self.redis,
            self.redis_clock,
            self.keys,
            Random(rng.random()),
            trace,
        )
        self.settings = scene.loaded("first").settings
        #: Until then (trio's clock) reads may fail, so that a lost event lives longer.
        self.no_reads_until_sec = 0.0
        self._log_to_trace = log_to_trace
        self.orders = ExecutorSide(self)
        self.governing = GovernorSide(self)
        self.ledgers = Ledgers(self.books, self.venue, self.redis, self.keys)
        self.reconciling = ReconcileSide(self)
        self.chain = ChainSide(self)
        names = ("first", "second") if scene.standby else ("first",)
        self.processes = {name: self._process(name, name) for name in names}
        self.claims = Claims(
            self.venue,
            self.streams,
            self.redis,
            self.keys,
            self._clock_of,
            lambda writer, since_ms: self.processes[writer].unsure_ms(since_ms),
            self._shown_ms,
            self.audit_ms,
            lambda writer: self.processes[writer].trust_lost_at,
        )
        self.decisions = Decisions(
            self.books,
            self.venue,
            self.redis,
            self.keys,
            self.settings,
            self.claims,
            self._clock_of,
            self.redis_clock,
            self.neighbours.publisher.may_open,
            self._granted,
            self.audit_ms,
            self.neighbours.consumers.on_decided,
        )

    def _process(self, name: str, instance: str) -> Process:
        return Process(
            name,
            self.scene.loaded(instance),
            seed=self.scene.seed,
            venue=self.venue,
            streams=self.streams,
            redis=self.redis,
            servers=self.servers,
            keys=self.keys,
            judge=self,
            requests=Requests(self, name),
            orders=self.orders.of(name),
            governing=self.governing,
            reconciling=self.reconciling,
            chain=self.chain,
            history_page=self.scene.history_page,
            mark_interval_sec=self.scene.mark_interval_sec,
            log=self.trace.logger(name, quiet=not self._log_to_trace),
            note=self.trace.note,
            on_failure=self.failures.failed,
        )

    @asynccontextmanager
    async def namesake(self) -> AsyncIterator[None]:
        """For the length of a block, another host runs an instance of the first one's name."""
        process = self.processes[NAMESAKE] = self._process(NAMESAKE, "first")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.life)
            yield
            nursery.cancel_scope.cancel()
        del self.processes[NAMESAKE]

    def fail(self, violation: ViolationError) -> None:
        """End the run at the first violation."""
        if self.violation is None:
            self.violation = violation
            self.violated.set()

    def _clock_of(self, writer: str) -> SteppedClock:
        return self.processes[writer].clock

    def audit_ms(self, at_ms: int | None = None) -> int:
        """Return the longest time for which a change without an event may go unnoticed (milliseconds).

        As of a moment (true time), by default now. An audit waits while its process is cut off.
        """
        settings = self.settings
        reading = (true_ms() if at_ms is None else at_ms) > true_ms(self.no_reads_until_sec)
        bound_sec = settings.audit_sec if reading else settings.audit_max_age_sec
        bound_sec += _AUDIT_SLACK_SEC
        cut_sec = max((each.reach.cut_within(bound_sec) for each in self.processes.values()), default=0.0)
        return round((bound_sec + cut_sec) * 1000)

    def _shown_ms(self, writer: str, symbol: str, changed_ms: int) -> int | None:
        """Return the arrival of the read that showed that the writer's row of before `changed_ms` is wrong.

        None: no such read is known.
        """
        quiet_ms = true_ms(self.disturbed_sec()) + _UNDISTURBED_MS
        if changed_ms < quiet_ms or symbol in self.venue.odd_rows:
            return None
        audit_ms = round(self.settings.audit_sec * 1000)
        return self.processes[writer].requests.reads.first_showing(symbol, changed_ms, _APART_MS, audit_ms)

    async def without_reads(self, for_sec: float, *, banned: bool = False) -> None:
        """Wait for so long: reads may fail in that time, so a change without an event may go unnoticed for
        as long as the stream alone is trusted. After a ban's end no process reads for a minute."""
        over_sec = trio.current_time() + for_sec + 20 + (_AFTER_BAN_SEC if banned else 0.0)
        self.no_reads_until_sec = max(self.no_reads_until_sec, over_sec)
        await trio.sleep(for_sec)

    def _granted(self, grant: Grant) -> None:
        self.trace.note(f"granted {grant.plan_id} {grant.symbol} {grant.leg} {grant.kind} {grant.quantity}")

    # The store reports every effect on Redis, as it happens.

    def stepped(self, writer: str, method: str, fence: FencingToken | None) -> None:
        """Judge a call that took effect."""
        self.trace.note(f"{writer} {method}")
        self.orders.rest.look()
        if fence is None:
            assert method not in FENCED, method
            return
        self.takeovers += writer != self._last_writer != ""
        self._last_writer = writer
        lease = self.redis.get(self.keys.lease)
        require(
            lease == fence.encode(),
            "one writer",
            f"{writer} wrote by {method} under {fence}; it is {lease!r}",
        )

    def decided(self, writer: str, decisions: Sequence[DecisionCommit], reply: CommitReply) -> None:
        """Decisions were offered."""
        for commit, verdict in zip(decisions, reply.verdicts, strict=True):
            self.trace.note(f"{commit.plan_id} {type(verdict).__name__} {commit.audit_fields[7]}")
            self.decisions.committed(writer, commit, verdict)

    def booked(self, writer: str, commit: ResultCommit, booked_ms: int | None) -> None:
        """Judge a booking that was offered."""
        self.ledgers.booked(commit, booked_ms)
        if booked_ms is not None and commit.ledger_fields:
            self.decisions.booked(commit.symbol, booked_ms)
            self.reconciling.moved(commit.symbol)

    def adopted(self, writer: str, adoptions: Sequence[Adoption], created: Sequence[str]) -> None:
        """Ledgers were offered."""
        self.ledgers.adopted(adoptions, created)

    def claimed(self, writer: str, fence: FencingToken, symbols: Sequence[str]) -> None:
        """Snapshots were written."""
        self.claims.written(writer, fence, symbols)

    # What Redis loses.

    def restart_redis(self, kept: Kept | None, before: MemoryRedis | None) -> None:
        """Another run answers from now on; with `before`, it holds what that copy holds."""
        self.redis.restart(with_keys_of=before)
        self.decisions.redis_changed_ms = self.redis.now_ms()
        self.decisions.redis_truly_changed_ms = true_ms()
        self.trace.note("redis restarted")
        self.orders.judge.redis_changed()
        if kept is not None:
            self.books.lost.update(plan for plan in self.books.kept.decided if plan not in kept.decided)
            self.books.kept = kept
            for grant in self.books.grants.values():
                # Nothing in Redis speaks for them any more: where the guarantee ends.
                if grant.plan_id not in kept.decided:
                    grant.over, grant.left = True, ZERO

    def evict(self, keys: Sequence[str]) -> None:
        """Redis has no memory left, and removes these."""
        if not keys:
            return
        self.redis.maxmemory_policy = "volatile-lru"
        for key in keys:
            self.redis.evict(key)
        self.decisions.evicted_ms = self.redis.now_ms()
        self.decisions.truly_evicted_ms = true_ms()
        self.governing.evicted(keys)
        self.reconciling.evicted(keys)
        self.chain.evicted(keys)
        for key in keys:
            if key.startswith(mark := self.keys.plan_mark("")):
                self.books.unmarked[key.removeprefix(mark)] = self.redis.now_ms()
            elif key.startswith(ledger := self.keys.ledger("")):
                self.books.kept.booked_ms.pop(key.removeprefix(ledger), None)
            elif key.startswith(hold := self.keys.hold("")):
                self.books.unheld_ms[key.removeprefix(hold)] = true_ms()
        self.trace.note(f"evicted {' '.join(keys)}")

    def calm(self) -> None:
        """Drop the faults that wait for an event that did not come."""
        self.streams.lose_next = 0
        faults = self.venue.faults
        faults.date_ahead_next, faults.microseconds_next = [], 0

    def tidy(self) -> None:
        """Forget what can matter no more: the judges' memory is bounded too."""
        self.books.grants = {name: grant for name, grant in self.books.grants.items() if not grant.over}
        since_ms = true_ms() - 300_000
        for name, spans in self.venue.unannounced.items():
            self.venue.unannounced[name] = [span for span in spans if span[0] > since_ms]

    def counts(self) -> dict[str, int]:
        """Return the numbers of events."""
        return {
            "claims": self.claims.count,
            "decisions": self.decisions.count,
            "allowed": self.decisions.allowed,
            "bookings": self.ledgers.count,
            "fills": sum(len(changes) for changes in self.venue.changes.values()),
            "starts": sum(process.starts for process in self.processes.values()),
            "takeovers": self.takeovers,
            "escalations": sum(process.escalations for process in self.processes.values()),
            **self.orders.counts(),
            **self.governing.counts(),
            **self.reconciling.counts(),
            **self.chain.counts(),
            **{f"failure {name}": count for name, count in sorted(self.failures.counts.items())},
            **{f"fault {name}": count for name, count in sorted(self.struck.items())},
            **{f"reason {name}": count for name, count in sorted(self.books.reasons.items())},
        }

    def in_stream(self, key: str, entry_id: str) -> bool:
        """Return whether Redis still has the entry."""
        stream = self.redis.keyspace.stream(key)
        return stream is not None and stream.get(parse_id(entry_id)) is not None

    def pending(self) -> list[str]:
        """Entries of both streams that are delivered and not acknowledged."""
        return [
            f"{key.rpartition('.')[2]} {entry_id} {state}"
            for key in (self.keys.plans, self.keys.results)
            for entry_id, state in self.redis.xpending(key, GROUP).items()
        ]
