"""Roles in `/status` and on the page: those that are switched on, and what each is doing."""

from __future__ import annotations

import msgspec

from channels import Channels, UniverseState
from clocks.clocks import Clocks
from monitoring.status.document import RolesShown, UniverseShown
from settings import Settings


class RolesSource:
    """Reads the state of the roles from the channels."""

    def __init__(self, settings: Settings, channels: Channels, clocks: Clocks) -> None:
        self._settings = settings
        self._channels = channels
        self._clocks = clocks

    def shown(self) -> RolesShown | msgspec.UnsetType:
        """Return the roles; unset where all are off."""
        if self._channels.universe_channels is None:
            return msgspec.UNSET
        return RolesShown(universe=self._universe_shown())

    def universe(self) -> UniverseState | None:
        """Return the universe as this instance published it; None while it stands by."""
        channels, lease = self._channels.universe_channels, self._channels.lease.value
        if channels is None or lease is None or lease.fence is None:
            return None
        return channels.state.value

    def universe_age_sec(self, state: UniverseState) -> float:
        """Return the age of the active list; from 1970 on where there was none yet."""
        now, redis = self._clocks.now(), self._clocks.redis
        now_ms = redis.now_ms(now) if redis.known else now.wall_ms
        return max(now_ms / 1000 - state.asof_epoch, 0.0)

    def _universe_shown(self) -> UniverseShown:
        mode, state = self._settings.universe, self.universe()
        if state is None:
            return UniverseShown(mode=mode, doing="waits for the lease, or for a first read")
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
