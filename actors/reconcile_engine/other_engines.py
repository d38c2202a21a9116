"""Wait of the engine until no other reconcile engine works: two of them hold and release the same symbols."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from structlog.typing import FilteringBoundLogger

from actors.one_player import ACTIVE_SEC
from actors.reconcile_engine.comparison import PositionComparison
from actors.reconcile_engine.rules import ReconcileActorRules
from brain.identifiers import FencingToken, Symbol
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from store.errors import FencedError
from store.keys import Keys, ReconcileKeys
from store.reconcile_protocol import ReconcileStore
from store.reconcile_records import ReconcileView
from supervision import Heartbeat

_LOOK_SEC = 2.0


class AnotherEngineError(Exception):
    """Another reconcile engine has begun to work."""


class OtherEngines:
    """Looks at the states of all symbols for one that another engine has written within 30 s.

    P3.4 reads no stream, so there is no consumer to look at. Another instance of this service is none: it
    has the lease or does nothing. In the shadow there is no other, as its keys are its own.
    """

    def __init__(
        self,
        store: ReconcileStore,
        comparison: PositionComparison,
        lease: LatestValue[Lease],
        rules: ReconcileActorRules,
        *,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._comparison = comparison
        self._lease = lease
        self._rules = rules
        self._clocks = clocks
        self._log = log
        self._keys = ReconcileKeys(Keys(rules.key_prefix), shadow=rules.shadow)
        self._has_warned = False

    async def wait(self, fence: FencingToken, heartbeat: Heartbeat) -> Mapping[Symbol, ReconcileView]:
        """Return all symbols as Redis holds them, once no other engine is at work.

        Raises FencedError when the lease is lost in the wait, and as the store does.
        """
        logged = False
        while True:
            views = await self._store.reconcile_views(self._comparison.names())
            other = self._other(views)
            if other is None or self._goes_on(other):
                return views
            if not logged:
                self._log.warning(f"Waiting: {other}")
                logged = True
            with heartbeat.waiting_for(other):
                await trio.sleep(_LOOK_SEC)
            if self._lease.value is None or self._lease.value.fence != fence:
                raise FencedError("the lease was lost in the wait for another reconcile engine")

    def look(self, symbol: Symbol, view: ReconcileView) -> None:
        """Raise AnotherEngineError if another engine has written the state of the symbol just now."""
        other = self._other({symbol: view})
        if other is not None and not self._goes_on(other):
            raise AnotherEngineError(other)

    def _goes_on(self, other: str) -> bool:
        if self._rules.take_over and not self._has_warned:
            self._log.warning(f"P33_TAKE_OVER: {other}")
            self._has_warned = True
        return self._rules.take_over

    def _other(self, views: Mapping[Symbol, ReconcileView]) -> str | None:
        """Describe the other engine by what it wrote last; None where there is none."""
        if self._rules.shadow:
            return None
        now_sec = self._clocks.redis_now_ms() / 1000
        ages = {
            symbol: now_sec - view.others_sec
            for symbol, view in views.items()
            if view.others_sec is not None and abs(now_sec - view.others_sec) < ACTIVE_SEC
        }
        if not ages:
            return None
        symbol = min(ages, key=lambda each: (ages[each], each))
        return another_engine_text(self._keys.state(symbol), ages[symbol])


def another_engine_text(state_key: str, age_sec: float) -> str:
    """Return the sentence on another reconcile engine, by a state that it wrote `age_sec` ago."""
    return f"another reconcile engine has written `{state_key}`, {max(age_sec, 0):.0f} s ago"
