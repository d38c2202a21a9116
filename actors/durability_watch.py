"""Watches the durability of Redis: append-only file, eviction policy, evicted keys."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from brain.durability import Durability
from channels import LatestValue
from store.errors import StoreError
from store.protocol import DiagnosticsStore
from supervision import Heartbeat

_EVERY_SEC = 2.0


class DurabilityWatch:
    """Reads Redis's durability every 2 s, publishes it, and logs each problem when it begins.

    Publishes nothing while Redis does not answer, which other actors report.
    """

    def __init__(
        self, store: DiagnosticsStore, durability: LatestValue[Durability], *, log: FilteringBoundLogger
    ) -> None:
        self._store = store
        self._durability = durability
        self._log = log
        self._logged: Durability | None = None

    async def run(self, heartbeat: Heartbeat) -> None:
        """Watch until cancelled."""
        while True:
            try:
                read = await self._store.durability()
            except StoreError:
                self._durability.withdraw()
            else:
                self._durability.send(read)
                self._log_change(read)
            with heartbeat.idle():
                await trio.sleep(_EVERY_SEC)

    def _log_change(self, read: Durability) -> None:
        logged, self._logged = self._logged, read
        if not read.append_only and (logged is None or logged.append_only):
            self._log.warning(
                "Redis keeps no append-only file: after a crash of Redis a plan could be allowed twice"
            )
        if read.may_evict and (logged is None or logged.maxmemory_policy != read.maxmemory_policy):
            self._log.warning(
                "Redis may evict keys of this service: set maxmemory-policy noeviction",
                maxmemory_policy=read.maxmemory_policy,
            )
        if logged is not None and read.evicted_keys > logged.evicted_keys:
            self._log.warning(
                "Redis has evicted keys, perhaps of this service",
                keys=read.evicted_keys - logged.evicted_keys,
                maxmemory_policy=read.maxmemory_policy,
            )
