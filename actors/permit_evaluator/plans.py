"""Pending plans and the inputs of decisions, which the parts of the permit evaluator share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto

import msgspec

from actors.stream_consumer import MOST_FAILURES, FailureCounter
from actors.waiting import present
from brain.decisions.case import SnapshotView
from brain.decisions.decision import deny_malformed, evaluation_failed
from brain.identifiers import EntryId, PlanId, Symbol
from brain.ledger.reported_fills import may_precede_takeover
from brain.moment import Moment
from brain.plans.permit import Decision
from brain.plans.plan import MalformedPlan, Plan, SkippedPlan, UnanswerablePlan
from brain.plans.shared_plans import AnyPlan
from brain.positions.position import Snapshot
from brain.symbols.allowlist import Allowlist
from brain.symbols.symbol_rules import SymbolRules
from channels import (
    RULES_AT_MOST_EVERY_SEC,
    Conflating,
    LatestValue,
    Lease,
    ResultBook,
    RulesWanted,
    SnapshotBook,
)
from clocks.redis_clock import RedisClock
from store.records import Entry
from supervision import Heartbeat


class MissingInput(Enum):
    """An input that a decision lacks, and that can be fetched or waited for.

    PUSH: the stream's report of a fill whose result has arrived. RESULT: a result that is being booked.
    STATE: the symbol's state in Redis, which a commit reads: nothing is fetched before it.
    """

    POSITION = auto()
    LEDGER = auto()
    PUSH = auto()
    RESULT = auto()
    RULES = auto()
    STATE = auto()


class PendingPlan(msgspec.Struct, eq=False):
    """A plan in hand, on its way to a committed decision.

    `missing` is fetched next, `tried` was: nothing is fetched twice. `settled`: a result came before the
    decision.
    """

    entry: Entry
    plan: Plan
    settled: bool = False
    attempts: int = 0
    missing: MissingInput | None = None
    tried: frozenset[MissingInput] = frozenset()

    @property
    def symbol(self) -> Symbol:
        """The plan's symbol."""
        return self.plan.symbol


class Refusal(msgspec.Struct, frozen=True):
    """A deny that rests on no state: of a plan that cannot be read, or could not be decided.

    `error`: the reason why the entry is a dead letter as well, None where it is not.
    """

    entry: Entry
    plan_id: PlanId
    symbol: Symbol | None
    decision: Decision
    error: str | None = None


class DecisionInputs(msgspec.Struct, frozen=True):
    """The channels that carry the inputs of decisions."""

    book: SnapshotBook
    results: ResultBook
    symbol_rules: LatestValue[Mapping[str, SymbolRules]]
    rules_wanted: Conflating[RulesWanted]
    rules_asked_at: LatestValue[Moment]
    allowlist: LatestValue[Allowlist]
    hedge_mode: LatestValue[bool]
    ledgers_adopted: LatestValue[bool]
    lease: LatestValue[Lease]

    def snapshot(
        self, symbol: Symbol, last_order_time_epoch: str | None, now: Moment, redis_clock: RedisClock
    ) -> SnapshotView | None:
        """Return the symbol's snapshot as a decision uses it; `last_order_time_epoch`: of its ledger."""
        snapshot = self.book.get(symbol)
        if snapshot is None:
            return None
        return SnapshotView(
            snapshot.legs,
            snapshot.verified_at.wall_ms,
            # Whole milliseconds, and never younger: it is compared, and written into permits.
            math.ceil(snapshot.verified_at.age_sec(now) * 1000) / 1000,
            self.book.is_trusted(snapshot),
            self._shows_results(snapshot, last_order_time_epoch, redis_clock),
        )

    def _shows_results(
        self, snapshot: Snapshot, last_order_time_epoch: str | None, redis_clock: RedisClock
    ) -> bool:
        """Return True if the snapshot is proven to contain every fill whose result this process has, or
        another one booked just before this one took over: `last_order_time_epoch`, of the ledger, shows
        whether it did (Redis's clock).
        """
        taken_over_at = self.results.taken_over_at
        if (
            taken_over_at is not None
            and snapshot.verified_at < taken_over_at
            and may_precede_takeover(last_order_time_epoch, redis_clock.now_ms(taken_over_at))
        ):
            return False
        return self.results.all_in(snapshot)

    def rules_due(self, now: Moment) -> bool:
        """Return True if exchangeInfo may be asked for again because a plan names an unknown symbol."""
        asked_at = self.rules_asked_at.value
        return asked_at is None or asked_at.age_sec(now) >= RULES_AT_MOST_EVERY_SEC

    @property
    def exchange_known(self) -> bool:
        """True when exchangeInfo and the account's position mode were read."""
        return self.symbol_rules.value is not None and self.hedge_mode.value is not None

    @property
    def complete(self) -> bool:
        """True when all inputs are there that arrive once, after a start."""
        return (
            self.exchange_known
            and self.allowlist.value is not None
            and self.ledgers_adopted.value is not None
        )

    async def wait_until_complete(self, heartbeat: Heartbeat) -> None:
        """Wait for the missing inputs. The service is not ready while it waits."""
        await present(self.symbol_rules, "exchangeInfo", heartbeat)
        await present(self.hedge_mode, "the account's position mode", heartbeat)
        await present(self.allowlist, "the allowlist", heartbeat)
        await present(self.ledgers_adopted, "the first ledgers", heartbeat)


class PlanBatch(msgspec.Struct):
    """Entries, sorted by what has to be done with them.

    The `pending` need a decision, in order, on the state of their `symbols`. `done` are ids to be
    acknowledged without an answer, those of `skipped` among them; `refusals` rest on no state; the
    `unanswerable` become dead letters with an error.
    """

    pending: list[PendingPlan] = []
    symbols: set[Symbol] = set()
    done: list[EntryId] = []
    skipped: list[SkippedPlan] = []
    refusals: list[Refusal] = []
    unanswerable: list[tuple[Entry, str]] = []


def sort_entries(
    entries: Sequence[Entry],
    failures: FailureCounter,
    read: Callable[[EntryId, Mapping[bytes, bytes]], AnyPlan],
    batch: PlanBatch,
) -> None:
    """Read each entry, and add it to `batch`. Never raises.

    A plan whose decision has raised `MOST_FAILURES` times, those of earlier processes included, is refused as
    `evaluation_failed` without being decided again, and becomes a dead letter.
    """
    for entry in entries:
        if entry.fields is None:
            batch.done.append(entry.id)
            continue
        failed = failures.of(entry.id, entry.deliveries)
        plan = read(entry.id, entry.fields)
        match plan:
            case Plan() if failed < MOST_FAILURES:
                batch.pending.append(PendingPlan(entry, plan))
                batch.symbols.add(plan.symbol)
            case Plan() | MalformedPlan():
                batch.refusals.append(_refusal(entry, plan, failed))
            case SkippedPlan():
                batch.done.append(entry.id)
                batch.skipped.append(plan)
            case UnanswerablePlan():
                batch.unanswerable.append((entry, plan.error))


def _refusal(entry: Entry, plan: Plan | MalformedPlan, failed: int) -> Refusal:
    """Refuse a plan that cannot be read, or that has failed too often."""
    if isinstance(plan, MalformedPlan):
        return Refusal(entry, plan.plan_id, plan.symbol, deny_malformed(plan))
    error = f"deciding it has failed {failed} times"
    return Refusal(entry, plan.plan_id, plan.symbol, evaluation_failed(failed), error)
