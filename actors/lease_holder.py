"""Holds the lease: while one instance has it, the others stand by."""

from __future__ import annotations

import os
import re
import socket
from random import Random

import trio
from structlog.typing import FilteringBoundLogger

from actors.waiting import describe_error
from brain.identifiers import FencingToken
from channels import LatestValue, Lease
from store.errors import StoreError
from store.protocol import LeaseStore
from supervision import Heartbeat

LEASE_TTL_SEC = 2.0
RENEWAL_SEC = 0.5
#: Added to a dead holder's TTL at a takeover.
STANDBY_LOOK_SEC = 0.05
_OUTAGE_PAUSE_SEC = 0.1
_UNUSUAL = re.compile(r"[^A-Za-z0-9.-]")
_UNNAMED = "of an older release"


def process_name(rng: Random) -> str:
    """Name this process among all: `host/pid/nonce`, without colons and spaces."""
    return f"{_UNUSUAL.sub('-', socket.gethostname())}/{os.getpid()}/{rng.getrandbits(32):08x}"


class LeaseHolder:
    """Takes the lease when it is free, renews it, and publishes its holder.

    The scripts check the fencing token on every write, so that a holder which was stopped and continued
    cannot write even before it learns here that it lost the lease.

    A process takes the lease of another one of its own instance name only as long as it has never held it:
    a restarted process does not wait for its predecessor's lease to expire. One that loses the lease to such
    a process logs that and takes the lease only once it is free. So two processes with one name by mistake
    change places once a start, and do not take the lease from each other in turn. Keep the object across
    failures of the actor, since it remembers that.
    """

    def __init__(
        self,
        store: LeaseStore,
        lease: LatestValue[Lease],
        *,
        instance: str,
        process: str,
        log: FilteringBoundLogger,
    ) -> None:
        """`process`: see `process_name`."""
        self._store = store
        self._lease = lease
        self._instance = instance
        self._process = process
        self._redis = f"Redis at {store.address}"
        self._log = log
        #: Of the lease that was held last, which may be lost.
        self._fence: FencingToken | None = None
        self._since: FencingToken | None = None

    async def run(self, heartbeat: Heartbeat) -> None:
        """Hold the lease, or wait for it, until cancelled."""
        trouble = ""
        while True:
            try:
                held = await (self._hold_again(trouble, heartbeat) if trouble else self._hold())
            except StoreError as error:
                if not trouble:
                    self._log.warning(f"{self._redis} is away", error=str(error))
                trouble = describe_error(self._redis, error)
            else:
                if trouble:
                    self._log.info(f"{self._redis} is back")
                trouble = ""
                with heartbeat.idle():
                    await trio.sleep(RENEWAL_SEC if held else STANDBY_LOOK_SEC)

    async def _hold_again(self, trouble: str, heartbeat: Heartbeat) -> bool:
        # Shown as waiting until the answer: a silent Redis answers later than the pause ends.
        with heartbeat.waiting_for(trouble):
            await trio.sleep(_OUTAGE_PAUSE_SEC)
            return await self._hold()

    async def _hold(self) -> bool:
        ttl_ms = round(LEASE_TTL_SEC * 1000)
        reply = await self._store.hold_lease(self._instance, self._fence, ttl_ms, process=self._process)
        namesake = None
        if reply.held:
            if reply.fence != self._fence:
                self._since = (self._since or self._fence) if reply.unbroken else None
            self._fence = reply.fence
        elif reply.holder == self._instance:
            namesake = reply.process or _UNNAMED
        if reply.held:
            lease = Lease(reply.fence, reply.holder, since=self._since)
        else:
            lease = Lease(None, reply.holder, namesake)
        if lease != self._lease.value:
            replaced = {"replaced": reply.replaced} if reply.replaced else {}
            self._log.info("Lease", held=reply.held, holder=reply.holder, fence=reply.fence, **replaced)
            if namesake is not None:
                self._log.warning(
                    "Standing back: another process of this P33_INSTANCE took the lease; give each its own",
                    instance=self._instance,
                    process=self._process,
                    taken_by=namesake,
                )
            self._lease.send(lease)
        return reply.held
