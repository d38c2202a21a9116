"""Reads Redis's clock twice a second, and logs problems of the clocks."""

from __future__ import annotations

from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from actors.waiting import RETRYABLE_REDIS_ERRORS, describe_error
from clocks.clocks import HARMFUL_SEC, Clocks, ShowsRedisTime
from store.errors import StoreRefusedError
from store.protocol import AddressedStore
from store.records import Entry
from supervision import Heartbeat

_INTENTS = "trade.intent"
#: A step of either clock, or an id ahead, is in the log within 1 s.
_EVERY_SEC = 0.5
#: An id of `trade.intent` that is ahead by less is none: the clock is known to a round trip (ms).
_AHEAD_MS = 1_000


class ClockStore(AddressedStore, ShowsRedisTime, Protocol):
    """The clock watch's side of the store (`store.protocol`)."""

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]: ...


class ClockWatch:
    """Keeps `Clocks` current on every instance, a standby too, and logs each trouble as it begins and ends.

    The readers of plans and results see ids ahead of Redis's clock by themselves; intents are read only every
    few seconds, so this actor looks at the newest one.
    """

    def __init__(self, store: ClockStore, clocks: Clocks, *, log: FilteringBoundLogger) -> None:
        self._store = store
        self._clocks = clocks
        self._redis = f"Redis at {store.address}"
        self._log = log
        self._logged: dict[str, str] = {}

    async def run(self, heartbeat: Heartbeat) -> None:
        """Ask twice a second until cancelled."""
        while True:
            try:
                await self._look()
            except RETRYABLE_REDIS_ERRORS as trouble:
                with heartbeat.waiting_for(describe_error(self._redis, trouble)):
                    await trio.sleep(_EVERY_SEC)
            else:
                with heartbeat.idle():
                    await trio.sleep(_EVERY_SEC)

    async def _look(self) -> None:
        redis_ms = await self._clocks.ask_redis(self._store)
        try:
            ahead = await self._store.recent_intents(f"{redis_ms + _AHEAD_MS}-0", None, 1)
        except StoreRefusedError:
            ahead = []  # the candidate planner reports a stream of another type
        self._clocks.saw_id(_INTENTS, ahead[0].id_ms if ahead else 0)
        self._log_changes()

    def _log_changes(self) -> None:
        troubles = self._clocks.troubles()
        if (harmful := self._clocks.redis_apart(HARMFUL_SEC)) is not None:
            troubles["readiness"] = f"{harmful}: not ready"
        for about, text in troubles.items():
            if about not in self._logged:
                self._log.warning(f"Clocks: {text}")
        for about, text in self._logged.items():
            if about not in troubles:
                self._log.info(f"Clocks: no longer: {text}")
        self._logged = troubles
