"""Shares the exchange's bans through Redis, with a restarted service and with other instances."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.waiting import RETRYABLE_REDIS_ERRORS, RedisTrouble
from channels import LatestValue
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from store.protocol import BanStore
from supervision import Heartbeat

_PAUSE_SEC = 0.2
#: An instance observes a ban that another one on the same address has met within this time.
_LOOK_SEC = 1.0
#: Two ends that differ by less are one, seen by clocks that are known to a round trip (ms).
_SAME_END_MS = 1_000


class BanKeeper:
    """Recalls a remembered ban before the first request to the exchange; remembers new ones, and observes
    those that other instances meet."""

    def __init__(
        self,
        store: BanStore,
        budget: WeightBudget,
        bans: LatestValue[int],
        recalled: LatestValue[bool],
        *,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        """`bans` says when a new ban has begun. `recalled` is sent once Redis has been asked."""
        self._store = store
        self._budget = budget
        self._bans = bans
        self._recalled = recalled
        self._clocks = clocks
        self._written_ms: int | None = None
        self._trouble = RedisTrouble(f"Redis at {store.address}", log)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Recall, then remember and look for what others have met, until cancelled."""
        while True:
            try:
                await self._share()
            except RETRYABLE_REDIS_ERRORS as trouble:
                self._trouble.begin(trouble, heartbeat)
                with heartbeat.waiting_for(self._trouble.text):
                    await trio.sleep(_PAUSE_SEC)
            else:
                self._trouble.over()
                if self._recalled.value is None:
                    self._recalled.send(True)
                with heartbeat.idle(), trio.move_on_after(_LOOK_SEC):
                    await self._bans.changed()

    async def _share(self) -> None:
        """Observe the ban in Redis; write ours there where that ends later.

        In Redis an end is by its clock, which all hosts share.
        """
        remembered_ms = await self._store.remembered_ban()
        redis_ms = await self._clocks.ask_redis(self._store)
        # Our own is known by the monotonic clock: a clock set back must not prolong it.
        if remembered_ms is not None and remembered_ms != self._written_ms:
            self._budget.recall_ban(self._clocks.now().wall_ms + remembered_ms - redis_ms)
        until = self._budget.banned_until
        if until is None:
            return
        ends_ms = self._clocks.redis.now_ms(until)
        if remembered_ms is None or remembered_ms < ends_ms - _SAME_END_MS:
            await self._store.remember_ban(ends_ms)
            self._written_ms = ends_ms
