"""A permit evaluator on virtual time over the store's twin, with a world that the test dictates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Protocol

import msgspec
import redis
import structlog
import trio
import trio.testing

from actors.permit_evaluator.actor import PermitEvaluator
from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.plans import DecisionInputs
from actors.permit_evaluator.reports import DecisionReports
from actors.stream_consumer import FailureCounter
from brain.decisions.case import Rules
from brain.identifiers import FencingToken
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, Channels, Count, Lease, OnDemandRead
from clock import Clock, TrioClock
from clocks.clocks import Clocks
from monitoring.gate_distribution import GateDistribution
from monitoring.recent_decisions import RecentDecisions
from store.errors import GroupLostError
from store.keys import GROUP, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.protocol import LeaseStore, PlanStore
from store.records import CommitReply, DecisionCommit
from supervision import Heartbeat
from tests.actors.ledger_rig import LedgerRig
from tests.background import background
from tests.brain.cases import RULES
from tests.store.backends import Outside

EPOCH_MS = 1_760_000_000_000


class PlanAndLeaseStore(PlanStore, LeaseStore, Protocol):
    """The store of an evaluator that works on its own."""


SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class WatchedCommits:
    """A store's commits, with a hook that runs when decisions are on their way to it."""

    before_commit: Callable[[Sequence[DecisionCommit]], Awaitable[None]] | None = None
    after_commit: Callable[[CommitReply], None] | None = None
    commits = 0

    async def on_the_way(self, decisions: Sequence[DecisionCommit]) -> None:
        self.commits += 1
        if self.before_commit is not None:
            await self.before_commit(decisions)

    def observed(self, reply: CommitReply) -> CommitReply:
        if self.after_commit is not None:
            self.after_commit(reply)
        return reply


class Watched(WatchedCommits, MemoryStore):
    """The twin, watched."""

    async def commit_decisions(self, fence: FencingToken, decisions: Sequence[DecisionCommit]) -> CommitReply:
        await self.on_the_way(decisions)
        return self.observed(await super().commit_decisions(fence, decisions))


class EvaluatorWorld(Channels):
    """All is in order until a test says otherwise: symbols trade, are allowed, flat, with a ledger of 0."""

    def __init__(
        self, store: PlanAndLeaseStore, redis: Outside, clock: Clock, *, on_demand: bool, rules: Rules
    ) -> None:
        super().__init__(shards=1)
        self.clock = clock
        self.clocks = Clocks(clock)
        self.redis: Outside = redis
        self.store: PlanAndLeaseStore = store
        self.keys = Keys("quantum")
        self.reads = self.on_demand[0]
        self.failures = FailureCounter()
        self._on_demand = on_demand
        self._rules = rules
        step = Decimal("0.001")
        self.symbol_rules.send({s: SymbolRules(s, True, step, step, Decimal(1000)) for s in SYMBOLS})
        self.allowlist.send(Allowlist(AllowlistSource.ENV, False, frozenset(SYMBOLS), None, None))
        self.hedge_mode.send(False)
        self.ledgers_adopted.send(True)
        self.heartbeat: Heartbeat | None = None

    def evaluator(self) -> PermitEvaluator:
        return PermitEvaluator(
            self.store,
            DecisionInputs(
                book=self.book,
                results=self.results,
                symbol_rules=self.symbol_rules,
                rules_wanted=self.rules_wanted,
                rules_asked_at=self.rules_asked_at,
                allowlist=self.allowlist,
                hedge_mode=self.hedge_mode,
                ledgers_adopted=self.ledgers_adopted,
                lease=self.lease,
            ),
            (lambda _symbol: self.reads) if self._on_demand else None,
            self.ledgers_wanted,
            failures=self.failures,
            clocks=self.clocks,
            rules=self._rules,
            writer=DecisionWriter(self._rules, issued_by="test"),
            reports=DecisionReports(
                self.metrics,
                self.symbol_rules,
                GateDistribution(self.clock),
                RecentDecisions(),
                structlog.get_logger(),
            ),
            key_prefix=self.keys.prefix,
            log=structlog.get_logger(),
        )

    async def take_lease(self) -> FencingToken:
        reply = await self.store.hold_lease("me", None, 3_600_000)
        self.lease.send(Lease(reply.fence, "me"))
        return reply.fence

    def position(self, symbol: str, amount: str, *, verified_at: Moment | None = None) -> None:
        """The book says so, as of now."""
        now = self.clock.now()
        leg = LegPosition(Leg.BOTH, Decimal(amount), Decimal(100), now.wall_ms)
        snapshot = Snapshot(
            symbol=symbol,
            legs=(leg,),
            leverage=Decimal(10),
            mark_price=Decimal(100),
            mark_ts_ms=now.wall_ms,
            verified_at=verified_at or now,
            verified_by=VerifiedBy.REST,
        )
        self.book.publish(0, BookEntry(snapshot, None))

    def ledger(self, symbol: str, amount: str) -> None:
        """An operator's hand, or an adoption."""
        self.redis.hset(self.keys.ledger(symbol), {"last_known_amt": amount})

    def holds(self, symbol: str, amount: str) -> None:
        """Exchange and ledger agree."""
        self.position(symbol, amount)
        self.ledger(symbol, amount)

    def publish(self, plan_id: str, symbol: str = "BTCUSDT", *, entry_id: str = "*", **fields: str) -> str:
        """A harvest exit of the whole position, unless `fields` say otherwise."""
        usual = {
            "decision": "EXECUTE",
            "action": "FULL_CLOSE_PROPOSED",
            "side": "CLOSE",
            "reduceOnly": "true",
        }
        flat: dict[str | bytes, str | bytes] = {"plan_id": plan_id, "symbol": symbol}
        flat.update(usual | fields)
        return self.redis.xadd(self.keys.plans, flat, entry_id=entry_id)

    def publish_entry(self, plan_id: str, symbol: str = "BTCUSDT", qty: str = "0.5", **fields: str) -> str:
        """An entry of the intent bridge."""
        usual = {"action": "ENTRY_PROPOSED", "side": "BUY", "qty": qty, "reduceOnly": "false"}
        return self.publish(plan_id, symbol, **{**usual, **fields})

    def permit(self, plan_id: str) -> dict[str, Any] | None:
        text = self.redis.get(self.keys.permit(plan_id))
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])

    def answer(self, plan_id: str) -> dict[str, Any]:
        """Return the permit of a plan that is decided."""
        permit = self.permit(plan_id)
        assert permit is not None, f"{plan_id} is not decided"
        return permit

    def reason(self, plan_id: str) -> str | None:
        permit = self.permit(plan_id)
        return None if permit is None else str(permit["reason"])

    def audited(self) -> list[str]:
        """The plan ids on the audit stream, in order."""
        return [fields[b"plan_id"].decode() for _, fields in self.redis.xrange(self.keys.audit)]

    def has_group(self) -> bool:
        """Return True if plans that are published now will be read."""
        try:
            self.pending()
        except (GroupLostError, redis.ResponseError):
            return False
        return True

    def pending(self) -> int:
        return len(self.redis.xpending(self.keys.plans, GROUP))

    async def counts(self) -> dict[str, float]:
        counted: dict[str, float] = {}
        for event in await self.metrics.receive_all():
            if isinstance(event, Count):
                counted[event.name] = counted.get(event.name, 0) + event.amount
        return counted

    async def adopt_ledgers(self, latency_sec: float, amount: str | None) -> None:
        """Play the ledger writer: after `latency_sec` each wish is answered with a ledger, or with None."""
        while True:
            wanted = await self.ledgers_wanted.receive()
            await trio.sleep(latency_sec)
            if amount is not None:
                self.ledger(wanted.symbol, amount)
            with wanted.reply:
                wanted.reply.send_nowait(amount is not None)

    async def show_reads(self, latency_sec: float, amount: str) -> None:
        """Play the snapshot fetchers: each read shows this position."""
        await self.answer_reads(latency_sec, lambda symbol: self.position(symbol, amount))

    async def answer_reads(self, latency_sec: float, answer: Callable[[str], str | None]) -> None:
        """Play the snapshot fetchers: after `latency_sec` each read is answered with what `answer` says."""

        async def one(request: OnDemandRead) -> None:
            await trio.sleep(latency_sec)
            with request.reply:
                request.reply.send_nowait(answer(request.symbol))

        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(one, await self.reads.receive())


class EvaluatorRig(EvaluatorWorld):
    """Such a world over the store's twin."""

    store: Watched
    redis: MemoryRedis

    def __init__(self, *, on_demand: bool = True, rules: Rules = RULES) -> None:
        clock = TrioClock(EPOCH_MS)
        #: How far Redis's clock is ahead of the host's.
        self.redis_off_ms = 0
        redis = MemoryRedis(lambda: self.clock.now().wall_ms + self.redis_off_ms)
        store = Watched(redis, keys=Keys("quantum"), consumer="me")
        self.epoch_ms = clock.epoch_ms
        super().__init__(store, redis, clock, on_demand=on_demand, rules=rules)


def evaluator_beside(
    ledgers: LedgerRig, store: Watched, *, on_demand: bool = False, rules: Rules = RULES
) -> EvaluatorRig:
    """Build an evaluator on a ledger writer's clocks, Redis, book and channels; both use `store`."""
    rig = EvaluatorRig(on_demand=on_demand, rules=rules)
    shared = "clock clocks redis book hedge_mode lease ledgers_adopted ledgers_wanted results"
    for name in shared.split():
        setattr(rig, name, getattr(ledgers, name))
    ledgers.store = rig.store = store
    return rig


@asynccontextmanager
async def running_evaluator(rig: EvaluatorWorld) -> AsyncIterator[EvaluatorWorld]:
    """The evaluator runs, holds the lease, and its consumer group exists."""
    await rig.take_lease()
    rig.rules_asked_at.send(rig.clock.now())
    rig.heartbeat = Heartbeat()
    async with background(rig.evaluator().run, rig.heartbeat):
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(30):
            while not rig.has_group():  # noqa: ASYNC110 - on a real Redis
                await trio.sleep(0.001)
        yield rig
