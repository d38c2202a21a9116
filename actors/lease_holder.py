"""Holds the lease: while one instance has it, the others stand by."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.heartbeat import Heartbeat
from actors.redis_trouble import told
from channels import LatestValue, Lease
from store.errors import StoreError
from store.protocol import LeaseStore

LEASE_TTL_SEC = 2.0
RENEWAL_SEC = 0.5
#: Part of what a takeover takes, behind the TTL of a holder that has died.
STANDBY_LOOK_SEC = 0.05
_OUTAGE_PAUSE_SEC = 0.1


class LeaseHolder:
    """Takes the lease when it is free, renews it, and tells everyone whose it is.

    The scripts check the fencing token on every write, so that a holder which was stopped and continued
    cannot write even before it learns here that it lost the lease.
    """

    def __init__(
        self,
        store: LeaseStore,
        lease: LatestValue[Lease],
        *,
        instance: str,
        redis_address: str,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._lease = lease
        self._instance = instance
        self._redis = f"Redis at {redis_address}"
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Hold the lease, or wait for it, until cancelled."""
        fence = self._lease.value.fence if self._lease.value else None
        trouble = ""
        while True:
            try:
                fence = await (self._hold_again(fence, trouble, heartbeat) if trouble else self._hold(fence))
            except StoreError as error:
                if not trouble:
                    self._log.warning(f"{self._redis} is away", error=str(error))
                trouble = told(self._redis, error)
            else:
                if trouble:
                    self._log.info(f"{self._redis} is back")
                trouble = ""
                with heartbeat.idle():
                    await trio.sleep(STANDBY_LOOK_SEC if fence is None else RENEWAL_SEC)

    async def _hold_again(self, fence: str | None, trouble: str, heartbeat: Heartbeat) -> str | None:
        # Waiting until it is answered: an attempt at a silent Redis takes longer than the pause before it.
        with heartbeat.waiting_for(trouble):
            await trio.sleep(_OUTAGE_PAUSE_SEC)
            return await self._hold(fence)

    async def _hold(self, fence: str | None) -> str | None:
        reply = await self._store.hold_lease(self._instance, fence, round(LEASE_TTL_SEC * 1000))
        lease = Lease(reply.fence if reply.held else None, reply.holder)
        if lease != self._lease.value:
            self._log.info("Lease", held=reply.held, holder=reply.holder, fence=reply.fence)
            self._lease.send(lease)
        return lease.fence
