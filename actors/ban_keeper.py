"""Shares the exchange's bans through Redis: neither a restarted service nor a standby walks into one."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.heartbeat import Heartbeat
from actors.redis_trouble import REDIS_TROUBLE, RedisTrouble
from channels import LatestValue
from exchange.weight_budget import WeightBudget
from store.protocol import BanStore

_PAUSE_SEC = 0.2
#: How soon an instance heeds a ban that another one on the same address has met.
_LOOK_SEC = 1.0


class BanKeeper:
    """Recalls a remembered ban before anybody asks the exchange anything; remembers new ones, and heeds those
    that other instances meet."""

    def __init__(
        self,
        store: BanStore,
        budget: WeightBudget,
        bans: LatestValue[int],
        recalled: LatestValue[bool],
        *,
        redis_address: str,
        log: FilteringBoundLogger,
    ) -> None:
        """`bans`: the ends of new bans (this host's wall clock, ms). `recalled` is told once that is done."""
        self._store = store
        self._budget = budget
        self._bans = bans
        self._recalled = recalled
        self._trouble = RedisTrouble(f"Redis at {redis_address}", log)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Recall, then remember and look for what others have met, until cancelled."""
        while True:
            try:
                await self._share()
            except REDIS_TROUBLE as trouble:
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
        """Heed the ban that Redis knows; tell it of ours where that ends later."""
        remembered = await self._store.remembered_ban()
        ours = self._bans.value
        # Our own is known by the monotonic clock: a wall clock set back must not prolong it.
        if remembered is not None and remembered != ours:
            self._budget.recall_ban(remembered)
        over = self._budget.banned_until is None
        if ours is not None and not over and (remembered is None or remembered < ours):
            await self._store.remember_ban(ours)
