"""Roles in `/status` and on the page: those that are switched on, and what each is doing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from channels import Channels, UniverseState
from clocks.clocks import Clocks
from monitoring.metrics.registry import MetricRegistry
from monitoring.status.acting import obstacle_of
from monitoring.status.bridge import bridge_shown
from monitoring.status.document import ExecutorShown, RolesShown, UniverseShown
from monitoring.status.governor import governor_sentences, governor_shown
from monitoring.status.intelligence import intelligence_shown
from monitoring.status.reconcile import reconcile_shown
from settings import Settings

#: Begin of what an executor waits for while another one reads the plans (`actors/one_player.py`).
_ANOTHER = "another executor works on "


class RolesSource:
    """Reads the state of the roles from channels and registry."""

    def __init__(
        self, settings: Settings, channels: Channels, clocks: Clocks, registry: MetricRegistry
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._clocks = clocks
        self._registry = registry

    def shown(self, waits: Sequence[tuple[str, str]]) -> RolesShown | msgspec.UnsetType:
        """Return the roles; unset where all are off. `waits`: the tree's, as (path, dependency)."""
        publishes = self._channels.universe_channels is not None
        executes = self._channels.open_executions is not None
        governs = self._channels.governor is not None
        reconciles = self._channels.reconcile is not None
        counts, plans = self._channels.intelligence is not None, self._channels.bridge is not None
        if not any((publishes, executes, governs, reconciles, counts, plans)):
            return msgspec.UNSET
        return RolesShown(
            universe=self._universe_shown() if publishes else msgspec.UNSET,
            executor=self._executor_shown(waits) if executes else msgspec.UNSET,
            governor=governor_shown(self._settings, self._channels, waits),
            reconcile=reconcile_shown(self._settings, self._channels, waits, self._redis_now_ms()),
            p35=intelligence_shown(self._settings, self._channels, waits, self._redis_now_ms()),
            intent_bridge=bridge_shown(self._settings, self._channels, waits),
        )

    def modes(self) -> dict[str, str]:
        """Return the mode of each role that is switched on, as `/status` shows it."""
        shown = self.shown(())
        if isinstance(shown, msgspec.UnsetType):
            return {}
        roles = msgspec.structs.asdict(shown)
        return {name: role.mode for name, role in roles.items() if role is not msgspec.UNSET}

    def unreadable(self) -> list[str] | msgspec.UnsetType:
        """Return what `/readyz` says of the Governor; unset where there is nothing to say."""
        return governor_sentences(self._channels)

    def universe(self) -> UniverseState | None:
        """Return the universe as this instance published it under the lease that it has; None without."""
        channels, lease = self._channels.universe_channels, self._channels.lease.value
        if channels is None or lease is None or lease.fence is None:
            return None
        state = channels.state.value
        return state if state is not None and state.fence == lease.fence else None

    def universe_age_sec(self, state: UniverseState) -> float:
        """Return the age of the active list; from 1970 on where there was none yet."""
        return max(self._redis_now_ms() / 1000 - state.asof_epoch, 0.0)

    def _redis_now_ms(self) -> int:
        """Return Redis's clock; this host's while it is unknown."""
        now, redis = self._clocks.now(), self._clocks.redis
        return redis.now_ms(now) if redis.known else now.wall_ms

    def _universe_shown(self) -> UniverseShown:
        mode, state = self._settings.universe, self.universe()
        if state is None:
            return UniverseShown(
                mode=mode, doing="waits for the lease, for a first read, or for another publisher to stop"
            )
        where = "for all to read" if mode == "on" else "in its shadow"
        doing = f"publishes {state.count} symbols {where}"
        if state.stale:
            doing = f"leaves {state.count} symbols standing, marked as stale: {state.error}"
        return UniverseShown(
            mode=mode,
            doing=doing,
            symbols=state.count,
            age_sec=self.universe_age_sec(state),
            stale=state.stale,
            error=state.error or None,
        )

    def _executor_shown(self, waits: Sequence[tuple[str, str]]) -> ExecutorShown:
        mode = self._settings.executing
        obstacle = obstacle_of("executor", self._channels.lease.value, waits, begins=_ANOTHER)
        if obstacle is not None:
            return ExecutorShown(mode=mode, doing=obstacle.doing, waits_for=obstacle.waits_for)
        if mode == "dry_run":
            return ExecutorShown(mode=mode, doing="publishes what it would send, and sends no order")
        open_orders = round(self._registry.value("exec_open_orders") or 0)
        doing = f"sends orders, {open_orders} of them not final"
        if undecided := round(self._registry.value("exec_unknown") or 0):
            doing += f", {undecided} undecided"
        return ExecutorShown(mode=mode, doing=doing, open_orders=open_orders)
