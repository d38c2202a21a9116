"""Everything that the desk finds, made once."""

from __future__ import annotations

from channels import Channels
from clock import Clock
from monitoring.find.age_history import AgeHistory
from monitoring.find.audit_index import AuditIndex, audit_streams
from monitoring.find.decisions import Decisions
from monitoring.find.finding import Finding
from monitoring.find.known_symbols import KnownSymbols
from monitoring.find.plan_lookup import PlanLookup
from monitoring.find.stream_search import StreamSearch
from monitoring.find.symbol_view import SymbolView
from settings import Settings
from store.keys import Keys
from store.protocol import DiagnosticsStore


class FindPages:
    """The pages by what they show. `look` is called each second."""

    def __init__(self, settings: Settings, channels: Channels, store: DiagnosticsStore, clock: Clock) -> None:
        keys = Keys(settings.key_prefix)
        self.clock = clock
        self._index = AuditIndex(store, clock, audit_streams(settings))
        self._ages = AgeHistory(channels.book, clock)
        search = StreamSearch(store)
        symbols = KnownSymbols(channels, store, keys, self._index, shadow=settings.reconcile == "shadow")
        self.decisions = Decisions(self._index)
        self.finding = Finding(store, keys, self._index, search, symbols)
        self.plans = PlanLookup(store, keys, self._index, search)
        self.symbols = SymbolView(store, keys, clock, self._index, channels.book, self._ages, symbols)

    def look(self) -> None:
        """Note snapshot ages once a minute; forget the index after ten minutes without use."""
        self._ages.look()
        self._index.drop_unused()
