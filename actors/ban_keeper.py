"""Remembers the exchange's bans in Redis, so that a restarted service does not walk into one."""

from __future__ import annotations

import trio

from actors.heartbeat import Heartbeat
from actors.redis_trouble import REDIS_TROUBLE, told
from channels import LatestValue
from exchange.weight_budget import WeightBudget
from store.protocol import BanStore

_PAUSE_SEC = 0.2


class BanKeeper:
    """Recalls a remembered ban before anybody asks the exchange anything, and remembers new ones."""

    def __init__(
        self,
        store: BanStore,
        budget: WeightBudget,
        bans: LatestValue[int],
        recalled: LatestValue[bool],
        *,
        redis_address: str,
    ) -> None:
        """`bans`: the ends of new bans (this host's wall clock, ms). `recalled` is told once that is done."""
        self._store = store
        self._budget = budget
        self._bans = bans
        self._recalled = recalled
        self._redis = f"Redis at {redis_address}"

    async def run(self, heartbeat: Heartbeat) -> None:
        """Recall, then remember until cancelled."""
        remembered: int | None = None
        while self._recalled.value is None:
            try:
                remembered = await self._store.remembered_ban()
            except REDIS_TROUBLE as trouble:
                with heartbeat.waiting_for(told(self._redis, trouble)):
                    await trio.sleep(_PAUSE_SEC)
            else:
                if remembered is not None:
                    self._budget.recall_ban(remembered)
                self._recalled.send(True)
        while True:
            until_wall_ms = self._bans.value
            if until_wall_ms is None or until_wall_ms == remembered:
                with heartbeat.idle():
                    await self._bans.changed()
                continue
            try:
                await self._store.remember_ban(until_wall_ms)
            except REDIS_TROUBLE as trouble:
                with heartbeat.waiting_for(told(self._redis, trouble)):
                    await trio.sleep(_PAUSE_SEC)
            else:
                remembered = until_wall_ms
