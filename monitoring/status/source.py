"""Builds the answers of `/status` and `/readyz` from channels, registry and tree. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from statistics import median

import trio

from brain.moment import Moment, iso_or_none, iso_utc
from brain.positions.position import Snapshot
from channels import Channels, StreamStatus, UnknownExecution
from clocks.clocks import HARMFUL_SEC, Clocks
from exchange.weight_budget import WeightBudget
from monitoring.gate_distribution import GateDistribution
from monitoring.ledger_comparison import IN_FLIGHT_SEC, LedgerComparison
from monitoring.metrics.families import dropped
from monitoring.metrics.registry import MetricRegistry
from monitoring.service_log import build_tag, version
from monitoring.status.document import (
    AllowlistShown,
    ClocksShown,
    EvictionShown,
    ExchangeShown,
    GatesShown,
    LeaseShown,
    LedgersShown,
    MismatchShown,
    Readiness,
    SnapshotsShown,
    StatusDocument,
    StreamShown,
    UnknownExecutionShown,
    UnknownExecutionsShown,
    UnreadableShown,
    UnreadableSymbol,
    WaitingResultShown,
)
from monitoring.status.executions import open_executions_shown, undecided_sentences
from monitoring.status.readiness import ReadinessFacts, faults, unready
from monitoring.status.roles import RolesSource
from monitoring.status.running_tree import RunningTree, nodes_of
from monitoring.status.uncovered import uncovered_shown
from monitoring.status.whole import WholeStatus, cut
from monitoring.unreadable_symbols import UnreadableSymbols
from page.content import Holding, Holdings, Queue, Setting, Weight
from settings import Loaded
from settings.show import shown
from supervision import NodeStatus

#: Names shown of a list that may be long.
_MOST_NAMES = 20
_MOST_UNREADABLE = 50
_AT_A_TIME = 200
#: Children of the tree without which no plan is decided.
_NEEDED_ACTORS = ("permit_evaluator", "ledger_writer", "candidate_planner")


class StatusSource:
    """Reads live state from the channels. Made once, inside the trio run: uptime counts from there."""

    def __init__(
        self,
        loaded: Loaded,
        channels: Channels,
        *,
        tree: Callable[[], RunningTree],
        clocks: Clocks,
        budget: WeightBudget,
        exchange_trouble: Callable[[], str | None],
        registry: MetricRegistry,
        gates: GateDistribution,
        comparison: LedgerComparison,
        unreadable: UnreadableSymbols,
        roles: RolesSource,
    ) -> None:
        """`exchange_trouble`: see `Exchange.trouble`."""
        self._instance = loaded.settings.instance
        self._stale_threshold_sec = loaded.settings.stale_threshold_sec
        self._build_tag, self._version = build_tag(), version()
        self._settings = tuple(
            Setting(name, shown(loaded.settings, name), origin) for name, origin in loaded.origins.items()
        )
        self._channels = channels
        self._tree = tree
        self._clocks = clocks
        self._budget = budget
        self._exchange_trouble = exchange_trouble
        self._registry = registry
        self._gate_distribution = gates
        self._comparison = comparison
        self._unreadable = unreadable
        self._roles = roles
        self._started = clocks.now()

    def readiness(self) -> Readiness:
        """Return the answer of `/readyz`, as of now."""
        tree = self._tree().status()
        reasons = unready(self._facts(tree, self._snapshots(self._clocks.now(), self._known_snapshots())))
        return Readiness(not reasons, reasons, undecided_sentences(self._channels), self._roles.unreadable())

    def status(self) -> StatusDocument:
        """Return the answer of `/status`, as of now."""
        return cut(self.whole().document)

    def status_of(self, snapshots: Sequence[Snapshot], holdings: Holdings, now: Moment) -> StatusDocument:
        """Return `status` of all snapshots, which were compared with their ledgers for the page."""
        apart = [row for row in holdings.rows if row.apart_sec is not None]
        return cut(self._whole(now, self._snapshots(now, snapshots), self._ledgers(apart)).document)

    def whole(self) -> WholeStatus:
        """Return the same before it is cut."""
        now = self._clocks.now()
        known = self._known_snapshots()
        apart = self._comparison.mismatches(known, self._ledger_amounts(), now)
        return self._whole(now, self._snapshots(now, known), self._ledgers(apart))

    async def whole_in_parts(self) -> WholeStatus:
        """Return `whole`; other tasks run between its parts, 200 snapshots or some ms of counting."""
        now, known = self._clocks.now(), list[Snapshot]()
        for number, symbol in enumerate(self._channels.book.symbols(), 1):
            if (snapshot := self._channels.book.get(symbol)) is not None:
                known.append(snapshot)
            if number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
        snapshots = self._snapshots(now, known)
        await trio.lowlevel.checkpoint()
        apart = await self._comparison.mismatches_in_parts(known, self._ledger_amounts(), now)
        return self._whole(now, snapshots, self._ledgers(apart))

    def _whole(self, now: Moment, snapshots: SnapshotsShown, ledgers: LedgersShown) -> WholeStatus:
        tree = self._tree().status()
        facts = self._facts(tree, snapshots)
        reasons = unready(facts)
        lease, rules = self._channels.lease.value, self._channels.symbol_rules.value
        weight = self._registry.value("p33_request_weight_used")
        durability = self._channels.durability.value
        document = StatusDocument(
            build_tag=self._build_tag,
            version=self._version,
            instance=self._instance,
            started_at=iso_utc(self._started.wall_ms),
            uptime_sec=self._started.age_sec(now),
            ready=not reasons,
            reasons=reasons,
            tree=tree,
            lease=LeaseShown(False, None)
            if lease is None
            else LeaseShown(lease.fence is not None, lease.holder, lease.namesake),
            exchange=self._exchange_shown(),
            stream=self._stream_shown(now),
            snapshots=snapshots,
            allowlist=self._allowlist_shown(now),
            symbols_known=None if rules is None else len(rules),
            hedge_mode=self._channels.hedge_mode.value,
            ledgers_adopted=bool(self._channels.ledgers_adopted.value),
            request_weight_used=None if weight is None else round(weight),
            weight=self._weight(now),
            ledgers=ledgers,
            append_only=None if durability is None else durability.append_only,
            eviction=None
            if durability is None
            else EvictionShown(durability.maxmemory_policy, durability.may_evict, durability.evicted_keys),
            clocks=self._clocks_shown(),
            gates=_gates(self._gate_distribution),
            channels=[
                Queue(channel.name, channel.depth, dropped(channel)) for channel in self._channels.all()
            ],
            settings=self._settings,
            unknown_executions=self._unknown_shown(now),
            roles=self._roles.shown(self._tree().waiting()),
            open_executions=open_executions_shown(self._channels),
        )
        return WholeStatus(document, faults(facts))

    def _facts(self, tree: NodeStatus, snapshots: SnapshotsShown) -> ReadinessFacts:
        states = {node.name: node.state for node in nodes_of(tree)}
        rules = self._channels.symbol_rules.value
        return ReadinessFacts(
            stopping=tree.state == "stopping",
            waits=tuple(self._tree().waiting()),
            needed_actors=tuple((name, states.get(name, "missing")) for name in _NEEDED_ACTORS),
            lease=self._channels.lease.value,
            symbols_known=None if rules is None else len(rules),
            hedge_mode_known=self._channels.hedge_mode.value is not None,
            allowlist_known=self._channels.allowlist.value is not None,
            ledgers_adopted=bool(self._channels.ledgers_adopted.value),
            snapshots=snapshots.count,
            snapshots_fresh=snapshots.count - snapshots.stale,
            stale_threshold_sec=self._stale_threshold_sec,
            exchange_trouble=self._exchange_trouble(),
            clocks_apart=self._clocks.redis_apart(HARMFUL_SEC),
        )

    def _clocks_shown(self) -> ClocksShown:
        offset = self._clocks.redis_offset()
        return ClocksShown(
            redis_offset_sec=None if offset is None else offset.middle_sec,
            redis_uncertainty_sec=None if offset is None else (offset.most_sec - offset.least_sec) / 2,
            ids_ahead_sec=self._clocks.ids_ahead_sec(),
            troubles=list(self._clocks.troubles().values()),
        )

    def _snapshots(self, now: Moment, snapshots: Sequence[Snapshot]) -> SnapshotsShown:
        ages_sec = [snapshot.verified_at.age_sec(now) for snapshot in snapshots]
        trusted = [self._channels.book.is_trusted(snapshot) for snapshot in snapshots]
        fresh = sum(
            known and age_sec <= self._stale_threshold_sec
            for known, age_sec in zip(trusted, ages_sec, strict=True)
        )
        never_read = self._channels.never_read.value
        return SnapshotsShown(
            count=len(snapshots),
            stale=len(snapshots) - fresh,
            disbelieved=trusted.count(False),
            oldest_age_sec=max(ages_sec, default=None),
            median_age_sec=median(ages_sec) if ages_sec else None,
            stale_threshold_sec=self._stale_threshold_sec,
            never_read=None if never_read is None else len(never_read),
            never_read_symbols=(never_read or ())[:_MOST_NAMES],
            uncovered=uncovered_shown(self._channels.book, now),
        )

    def _known_snapshots(self) -> list[Snapshot]:
        book = self._channels.book
        return [snapshot for symbol in book.symbols() if (snapshot := book.get(symbol)) is not None]

    def _exchange_shown(self) -> ExchangeShown:
        reasons = self._unreadable.now()
        shown = [UnreadableSymbol(*each) for each in islice(reasons.items(), _MOST_UNREADABLE)]
        return ExchangeShown(self._exchange_trouble(), UnreadableShown(len(reasons), shown))

    def _stream_shown(self, now: Moment) -> StreamShown:
        stream = self._channels.stream_status.value or StreamStatus()
        return StreamShown(
            trusted=stream.trusted,
            trust_lost_at=iso_or_none(self._channels.book.trust_lost_at),
            connected_since=iso_or_none(stream.connected_since),
            proven_age_sec=None if stream.proven_as_of is None else stream.proven_as_of.age_sec(now),
            push_allowance_sec=stream.allowance_sec if stream.trusted else None,
            periods=stream.epoch,
            losses=stream.losses,
            last_loss=stream.last_loss,
            last_lost_at=iso_or_none(stream.last_lost_at),
        )

    def _weight(self, now: Moment) -> Weight:
        budget, banned_until = self._budget, self._budget.banned_until
        left_sec = None if banned_until is None else banned_until.monotonic_sec - now.monotonic_sec
        return Weight(
            own_used=budget.own_used,
            own_budget=budget.share_per_min,
            address_used=budget.address_used,
            address_limit=budget.address_limit_per_min,
            ban_left_sec=left_sec,
        )

    def _ledger_amounts(self) -> dict[str, float]:
        return self._registry.symbol_values("p33_ledger_amt")

    def _ledgers(self, apart: Sequence[Holding]) -> LedgersShown:
        mismatches = [
            MismatchShown(row.symbol, row.exchange, row.ledger, row.apart_sec, row.leg)
            for row in apart
            if row.apart_sec is not None and row.apart_sec >= IN_FLIGHT_SEC
        ]
        in_flight = len(apart) - len(mismatches)
        waiting = [
            WaitingResultShown(each.symbol, each.plan_id, each.entry_id, each.why)
            for each in (self._channels.waiting_results.value or ())[:_MOST_NAMES]
        ]
        return LedgersShown(len(self._ledger_amounts()), in_flight, mismatches, waiting)

    def unknown_count(self) -> int:
        """Return the number of plans whose order may have been filled."""
        return len(self._unknown(self._clocks.now()))

    def _unknown(self, now: Moment) -> list[UnknownExecution]:
        """Return those whose open permit has not ended since they were read."""
        known = self._channels.unknown_executions.value or ()
        return [each for each in known if each.ends_at_sec > now.monotonic_sec]

    def _unknown_shown(self, now: Moment) -> UnknownExecutionsShown:
        unknown = self._unknown(now)
        shown = [
            UnknownExecutionShown(
                each.plan_id,
                each.symbol,
                iso_utc(each.since_ms),
                round(each.ends_at_sec - now.monotonic_sec, 3),
            )
            for each in unknown
        ]
        return UnknownExecutionsShown(len(unknown), shown)

    def _allowlist_shown(self, now: Moment) -> AllowlistShown | None:
        allowlist = self._channels.allowlist.value
        if allowlist is None:
            return None
        asof, redis = allowlist.asof_epoch, self._clocks.redis
        now_ms = redis.now_ms(now) if redis.known else now.wall_ms
        rules = self._channels.symbol_rules.value
        return AllowlistShown(
            allowlist.source.value,
            allowlist.stale,
            len(allowlist.symbols),
            None if asof is None else max(now_ms / 1000 - asof, 0.0),
            allowlist.notes,
            None if rules is None else sum(rules[name].trading for name in allowlist.symbols & rules.keys()),
        )


def _gates(gates: GateDistribution) -> GatesShown:
    total, recent, hour = gates.since_start(), gates.last_5_min(), gates.last_1_h()
    return GatesShown(total.allow, total.deny, total.allow_by_reason, total.deny_by_reason, recent, hour)
