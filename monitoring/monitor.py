"""Everything that is visible from outside: metrics, `/status`, the operator page."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from channels import Channels
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from monitoring.exposure import AccountExposure
from monitoring.find.pages import FindPages
from monitoring.gate_distribution import GateDistribution
from monitoring.history import MinuteHistory
from monitoring.http.origin import PageOrigin
from monitoring.http.sessions import Sessions
from monitoring.ledger_comparison import LedgerComparison
from monitoring.ledger_legs import LedgerLegsCache
from monitoring.metrics.families import lines_dropped, service_gauges
from monitoring.metrics.registry import MetricRegistry
from monitoring.metrics.universe import universe_gauges
from monitoring.notices import Notices
from monitoring.page_view.act import PageActs
from monitoring.page_view.cache import PageCache
from monitoring.page_view.history import HistoryView
from monitoring.page_view.notices import NoticesPage
from monitoring.page_view.source import PageSource
from monitoring.page_view.waiting import WaitingView
from monitoring.recent_decisions import RecentDecisions
from monitoring.recent_judgements import RecentJudgements
from monitoring.status.roles import RolesSource
from monitoring.status.running_tree import RunningTree
from monitoring.status.source import StatusSource
from monitoring.unreadable_symbols import UnreadableSymbols
from settings import Loaded
from store.keys import Keys
from store.monitoring_protocol import MonitoringStore


class Monitor:
    """The one door to monitoring. Made once inside the trio run, outlives every restart of an actor."""

    def __init__(
        self,
        loaded: Loaded,
        channels: Channels,
        store: MonitoringStore,
        *,
        tree: Callable[[], RunningTree],
        clocks: Clocks,
        budget: WeightBudget,
        exchange_trouble: Callable[[], str | None],
        log: FilteringBoundLogger,
        log_lines_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        """`tree`: the supervision tree, which runs the actors that are given this."""
        self.registry = MetricRegistry(channels, clocks, log)
        self.gates = GateDistribution(clocks)
        self.recent = RecentDecisions()
        self.judgements = RecentJudgements()
        account = AccountExposure(
            channels.book,
            channels.symbol_rules,
            clocks,
            stale_threshold_sec=loaded.settings.stale_threshold_sec,
        )
        self.history = MinuteHistory(
            account, channels.lease, self.gates, self.recent, budget=budget, clocks=clocks
        )
        self.unreadable = UnreadableSymbols(channels.book, channels.unreadable_rules)
        legs = LedgerLegsCache(store, Keys(loaded.settings.key_prefix), channels)
        comparison = LedgerComparison(
            loaded.settings.qty_tolerance_pct, clocks.exchange_ms, lambda: legs.legs
        )
        self.roles = roles = RolesSource(loaded.settings, channels, clocks, self.registry)
        self.status = StatusSource(
            loaded,
            channels,
            tree=tree,
            clocks=clocks,
            budget=budget,
            exchange_trouble=exchange_trouble,
            registry=self.registry,
            gates=self.gates,
            comparison=comparison,
            unreadable=self.unreadable,
            roles=roles,
        )
        self.notices = Notices(loaded.settings, self.status, store, clocks, legs)
        page_source = PageSource(
            loaded.settings,
            channels.book,
            store,
            clocks,
            status=self.status,
            registry=self.registry,
            gates=self.gates,
            recent=self.recent,
            judgements=self.judgements,
            comparison=comparison,
        )
        token = loaded.settings.page_token
        self.origin = PageOrigin(loaded.settings.page_origin)
        #: None where the page only shows.
        self.sessions = None if token is None else Sessions(token, clocks)
        self.acts = (
            None
            if token is None
            else PageActs(
                loaded.settings,
                store,
                clocks,
                log,
                changed=self.notices.read_marks_again,
                fires=self.notices.fires,
            )
        )
        self.page = PageCache(page_source, clocks, acting=token is not None)
        self.find = FindPages(loaded.settings, channels, store, clocks)
        render = self.page.document_of
        self.notices_page = NoticesPage(self.notices, render, clocks)
        self.waiting_page = WaitingView(
            store, channels, clocks, roles, account, waits=lambda: tree().waiting(), render=render
        )
        self.history_page = HistoryView(
            store, clocks, budget, stale_threshold_sec=loaded.settings.stale_threshold_sec, render=render
        )
        for gauge in service_gauges(
            channels,
            clocks,
            budget,
            self.unreadable,
            ready=lambda: self.status.readiness().ready,
            unknown_executions=self.status.unknown_count,
        ):
            self.registry.show(gauge)
        self.registry.show_roles(roles.modes())
        if channels.universe_channels is not None:
            for gauge in universe_gauges(roles.universe, roles.universe_age_sec):
                self.registry.show(gauge)
        self.registry.show_total(lines_dropped(log_lines_dropped))
