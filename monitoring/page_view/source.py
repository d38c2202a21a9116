"""Collects the content of the operator page from channels, registry and Redis."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from brain.decisions.permit_text import audit_record
from brain.identifiers import EntryId, PlanId
from brain.json_text import read_json
from brain.ledger.unknown_outcomes import decode_unknown
from brain.moment import Moment
from brain.numbers import plain
from brain.positions.position import Snapshot
from brain.text_fields import text_fields
from channels import SnapshotBook
from clock import Clock
from explanation.deciding import Explanation
from explanation.explaining import explain_traces
from explanation.governing import GovernorTraces
from explanation.stored_traces import reservation_of
from explanation.traces import PlanTraces, Recorded
from monitoring.gate_distribution import GateDistribution
from monitoring.holds_and_cooldowns import HoldsAndCooldownsCache
from monitoring.ledger_comparison import LedgerComparison
from monitoring.metrics.registry import MetricRegistry
from monitoring.pacing import pause
from monitoring.page_view.bridge import page_bridge
from monitoring.page_view.governor import page_governor
from monitoring.page_view.headline import Observed, actor, overall
from monitoring.page_view.intelligence import page_intelligence
from monitoring.page_view.reconcile import page_reconcile
from monitoring.page_view.roles import page_roles
from monitoring.patience import UnreadError, read_in_time
from monitoring.recent_decisions import RecentDecision, RecentDecisions
from monitoring.recent_judgements import RecentJudgements
from monitoring.service_log import issuer
from monitoring.status.document import StatusDocument, UncoveredShown, UnreadableShown
from monitoring.status.source import StatusSource
from page.content import (
    Ages,
    Decided,
    GateHistory,
    PageContent,
    Stream,
    SymbolAge,
    SymbolReasons,
    UnknownExecution,
)
from page.words import duration
from settings import Settings
from store.keys import Keys
from store.protocol import DiagnosticsStore
from store.records import PermitTraces

_DECISIONS_SHOWN = 50
_LATENCIES = 500
_AT_A_TIME = 200
_UNKNOWN = PermitTraces(0, None, None, None, None)


class PageSource:
    """Collects the page's content and explains decisions. Made once."""

    def __init__(
        self,
        settings: Settings,
        book: SnapshotBook,
        store: DiagnosticsStore,
        clock: Clock,
        *,
        status: StatusSource,
        registry: MetricRegistry,
        gates: GateDistribution,
        recent: RecentDecisions,
        judgements: RecentJudgements,
        comparison: LedgerComparison,
    ) -> None:
        self._status = status
        self._book = book
        self._registry = registry
        self._gates = gates
        self._recent = recent
        self._judgements = judgements
        self._comparison = comparison
        self._store = store
        self._clock = clock
        self._issued_by = issuer(settings)
        self._holds_and_cooldowns = HoldsAndCooldownsCache(
            store, clock, settings.cooldown_sec, keys=Keys(settings.key_prefix)
        )

    async def content(self) -> PageContent:
        """Return everything that the page shows, as of now."""
        holds_and_cooldowns = await self._holds_and_cooldowns.now(
            self._book.symbols(), self._registry.symbol_values("p33_ledger_update_total")
        )
        now = self._clock.now()
        snapshots, ages = await self._ages(now)
        holdings = self._comparison.compare(snapshots, self._registry.symbol_values("p33_ledger_amt"), now)
        await pause()
        status = self._status.status_of(snapshots, holdings, now)
        await pause()
        tree = actor(status.tree)
        return PageContent(
            as_of_ms=now.wall_ms,
            build_tag=status.build_tag,
            instance=status.instance,
            started_at=status.started_at,
            uptime_sec=status.uptime_sec,
            overall=overall(Observed(status, tree, holdings, holds_and_cooldowns, status.weight)),
            tree=tree,
            ages=Ages(ages, status.snapshots.stale_threshold_sec),
            unreadable=_reasons(status.exchange.unreadable),
            uncovered=_reasons(status.snapshots.uncovered),
            stream=msgspec.convert(status.stream, Stream, from_attributes=True),
            gates=await self._histories(),
            decided=tuple(map(_row, self._recent.newest(_DECISIONS_SHOWN))),
            latencies_ms=tuple(
                seen.latency_ms for seen in self._recent.newest(_LATENCIES) if seen.latency_ms is not None
            ),
            holdings=holdings,
            holds_and_cooldowns=holds_and_cooldowns,
            weight=status.weight,
            lease_holder=status.lease.holder,
            lease_held=status.lease.held,
            allowlist=_allowlist(status),
            queues=tuple(status.channels),
            settings=status.settings,
            unknown_executions=tuple(
                UnknownExecution(each.plan_id, each.symbol, each.since, each.ends_in_sec)
                for each in status.unknown_executions.executions
            ),
            roles=tuple(page_roles(status.roles)),
            governor=page_governor(status.roles, self._judgements),
            reconcile=page_reconcile(status.roles),
            intelligence=page_intelligence(status.roles),
            intents=page_bridge(status.roles),
        )

    async def explanation(self, plan_id: PlanId) -> Explanation | None:
        """Explain the decision on a plan, with the Governor's judgement; None for one not of the latest 500.

        Reads the state of its permit from Redis, within 0.5 s.
        """
        seen = self._recent.of(plan_id)
        if seen is None:
            return None
        answer, permit = seen.answer, _UNKNOWN
        with suppress(UnreadError):
            permit = await read_in_time(self._store.permit_traces(plan_id, answer.symbol))
        record = audit_record(
            answer.decision,
            answer.case,
            plan_id=plan_id,
            symbol=answer.symbol,
            issued_by=self._issued_by,
            fields=text_fields(answer.fields),
            permit=_as_issued(permit.permit),
        )
        traces = PlanTraces(
            plan_id=plan_id,
            now_ms=permit.now_ms or self._clock.now().wall_ms,
            recorded=Recorded(EntryId(f"{seen.decided_ms}-0"), answer.entry_id, record),
            mark=None,
            permit=permit.permit,
            permit_ttl_ms=permit.ttl_ms,
            consumed_by=permit.consumed_by,
            unknown=None if permit.unknown is None else decode_unknown(plan_id, permit.unknown),
            governor=self._judgement(plan_id),
        )
        explained = explain_traces(traces, reservation_of(plan_id, permit.reservation))
        if permit is _UNKNOWN:
            note = "Redis does not answer: what has become of the permit is not known."
            return msgspec.structs.replace(explained, notes=[*explained.notes, note])
        return explained

    def _judgement(self, plan_id: PlanId) -> GovernorTraces | None:
        audit = self._judgements.of(plan_id)
        if audit is None:
            return None
        return GovernorTraces(
            EntryId(f"{audit.at_ms}-0"),
            audit.text("record").encode(),
            shadow=audit.text("shadow") == "true",
            permit=msgspec.UNSET,
            grant=msgspec.UNSET,
        )

    async def _ages(self, now: Moment) -> tuple[list[Snapshot], tuple[SymbolAge, ...]]:
        snapshots: list[Snapshot] = []
        ages: list[SymbolAge] = []
        for number, symbol in enumerate(self._book.symbols()):
            snapshot = self._book.get(symbol)
            if snapshot is None:
                continue
            snapshots.append(snapshot)
            amount = snapshot.amount
            ages.append(
                SymbolAge(
                    symbol,
                    snapshot.verified_at.age_sec(now),
                    self._book.is_trusted(snapshot),
                    plain(amount) if amount else None,
                )
            )
            if number % _AT_A_TIME == 0:
                await pause()
        return snapshots, tuple(ages)

    async def _histories(self) -> tuple[GateHistory, ...]:
        histories: list[GateHistory] = []
        for title, short, step_sec in (("last 5 minutes", "5 min", 5), ("last hour", "1 h", 60)):
            gates = tuple(self._gates.history(step_sec, 60))
            histories.append(GateHistory(title, short, step_sec, gates))
            await pause()
        return tuple(histories)


def _as_issued(permit: bytes | None) -> bytes:
    """Return the permit without its signature; `null` where it is gone or no JSON."""
    unsigned, signature, _ = (permit or b"null").partition(b',"signature":')
    text = unsigned + b"}" if signature else unsigned
    try:
        read_json(_ANY_JSON, text)
    except msgspec.DecodeError:
        return b"null"
    return text


def _row(seen: RecentDecision) -> Decided:
    answer, decision = seen.answer, seen.answer.decision
    order = ""
    if decision.allow and decision.order_side:
        quantity = decision.quantity or (None if answer.case is None else answer.case.plan.quantity)
        if quantity:
            order = f"{decision.order_side} {plain(quantity)}"
    return Decided(
        plan_id=answer.plan_id,
        symbol=answer.symbol,
        allow=decision.allow,
        reason=decision.reason.value,
        kind=decision.kind.value if decision.allow else "",
        order=order,
        decided_ms=seen.decided_ms,
        latency_ms=seen.latency_ms,
    )


def _reasons(shown: UnreadableShown | UncoveredShown) -> SymbolReasons:
    symbols = tuple((each.symbol, each.why) for each in shown.symbols)
    return SymbolReasons(symbols, shown.count - len(symbols))


def _allowlist(status: StatusDocument) -> str:
    shown = status.allowlist
    if shown is None:
        return "not known yet"
    age = "" if shown.age_sec is None else f", {duration(shown.age_sec)} old"
    return f"{shown.count} symbols from {shown.source}{age}{', stale' if shown.stale else ''}"


_ANY_JSON: msgspec.json.Decoder[object] = msgspec.json.Decoder()
