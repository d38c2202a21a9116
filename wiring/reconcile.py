"""Makes the reconcile engine with its parts."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from actors.reconcile_engine.actor import ReconcileEngine
from actors.reconcile_engine.cases import OpenCases
from actors.reconcile_engine.closes import CloseProposals
from actors.reconcile_engine.comparison import PositionComparison
from actors.reconcile_engine.evidence import EvidenceReader
from actors.reconcile_engine.following import CaseFollower
from actors.reconcile_engine.looks import CaseLooks
from actors.reconcile_engine.other_engines import OtherEngines
from actors.reconcile_engine.repairs import LedgerRepairs
from actors.reconcile_engine.reports import ReconcileReports
from actors.reconcile_engine.rules import ReconcileActorRules
from actors.reconcile_engine.steps import CaseSteps
from actors.reconcile_engine.weight import EvidenceWeight
from actors.waiting import RedisTrouble
from channels import Channels
from clocks.clocks import Clocks
from exchange.history_protocol import AccountHistory
from monitoring.service_log import build_tag
from store.reconcile_protocol import ReconcileStore


class ReconcileMaking:
    """Makes reconcile engines, every incarnation anew. The weight that was used outlives an incarnation."""

    def __init__(
        self,
        channels: Channels,
        store: ReconcileStore,
        history: AccountHistory,
        *,
        clocks: Clocks,
        rules: ReconcileActorRules,
        log: FilteringBoundLogger,
    ) -> None:
        """`channels` are those of a service with a reconcile engine. Raises ValueError for others."""
        if channels.reconcile is None or channels.moved_ledgers is None:
            raise ValueError("the channels of the reconcile engine were not made")
        self._channels = channels
        self._shown, self._moved_ledgers = channels.reconcile, channels.moved_ledgers
        self._store = store
        self._history = history
        self._clocks = clocks
        self._rules = rules
        self._log = log
        self._weight = EvidenceWeight(rules.rules.weight_per_min)

    def engine(self) -> ReconcileEngine:
        """Return a new reconcile engine."""
        channels, store, rules, clocks = self._channels, self._store, self._rules, self._clocks
        cases = OpenCases(rules.rules.settle_sec, rules.rules.clear_after_sec)
        comparison = PositionComparison(
            store,
            channels.book,
            channels.results,
            channels.symbol_rules,
            rules.rules,
            only=rules.symbols,
            clocks=clocks,
        )
        reports = ReconcileReports(
            channels.metrics, channels.symbol_rules, self._shown, rules, clocks=clocks, log=self._log
        )
        steps = CaseSteps(store, rules, reports, clocks=clocks)
        evidence = EvidenceReader(
            store,
            self._history,
            history_lag_sec=rules.rules.history_lag_sec,
            clocks=clocks,
        )
        return ReconcileEngine(
            store,
            channels.book,
            self._moved_ledgers,
            channels.lease,
            channels.symbol_rules,
            channels.hedge_mode,
            channels.ledgers_adopted,
            cases,
            comparison,
            CaseFollower(cases, comparison, steps, rules, reports, clocks=clocks),
            evidence,
            CaseLooks(
                cases,
                comparison,
                evidence,
                self._weight,
                steps,
                LedgerRepairs(store, comparison, reports, rules, clocks=clocks),
                CloseProposals(store, channels.symbol_rules, rules, reports, clocks=clocks),
                rules,
                reports,
            ),
            self._weight,
            OtherEngines(store, comparison, channels.lease, rules, clocks=clocks, log=self._log),
            rules,
            reports,
            RedisTrouble(f"Redis at {store.address}", self._log),
            tag=build_tag(),
            clocks=clocks,
        )
