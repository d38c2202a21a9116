"""The names of all keys, under one prefix (`P33_KEY_PREFIX`)."""

from __future__ import annotations

GROUP = "p33"


class Keys:
    """Key names as in docs/contract.md; those below `<prefix>:p33:` are this service's own."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.plans = f"{prefix}:stream:apply.plan"
        self.results = f"{prefix}:stream:apply.result"
        self.intents = f"{prefix}:stream:trade.intent"
        self.audit = f"{prefix}:stream:permit.audit"
        self.dead_plans = f"{prefix}:stream:apply.plan.dead"
        self.dead_results = f"{prefix}:stream:apply.result.dead"
        self.events = f"{prefix}:stream:reconcile.events"
        self.universe_active = f"{prefix}:cfg:universe:active"
        self.universe_meta = f"{prefix}:cfg:universe:meta"
        self.universe_last_ok = f"{prefix}:cfg:universe:last_ok"
        self.lease = f"{prefix}:p33:lease"
        self.fence = f"{prefix}:p33:fence"
        self.redis_run = f"{prefix}:p33:redis_run"
        #: Which run of Redis had evicted how many keys, and when this service last saw their number grow.
        self.evictions = f"{prefix}:p33:evictions"
        self.last_result_id = f"{prefix}:p33:last_result_id"
        self.ban = f"{prefix}:p33:exchange_ban_until_ms"

    def snapshot(self, symbol: str) -> str:
        return f"{self.prefix}:position:snapshot:{symbol}"

    def ledger(self, symbol: str) -> str:
        return f"{self.prefix}:position:ledger:{symbol}"

    def permit(self, plan_id: str) -> str:
        return f"{self.prefix}:permit:p33:{plan_id}"

    def permit_consumer(self, plan_id: str) -> str:
        """Who consumed a permit: `permit_gate`'s own key, see docs/permits.md."""
        return f"{self.prefix}:permit_gate:consumed:{plan_id}"

    def hold(self, symbol: str) -> str:
        return f"{self.prefix}:reconcile:hold:{symbol}"

    def cooldown(self, symbol: str) -> str:
        return f"{self.prefix}:cooldown:last_exec_ts:{symbol}"

    def plan_mark(self, plan_id: str) -> str:
        """What became of a plan: decided, or settled by a result before its decision."""
        return f"{self.prefix}:p33:plan:{plan_id}"

    def open_permits(self, symbol: str) -> str:
        """HASH: `v`, the version; `p:<plan_id>`, what that plan's permit still covers."""
        return f"{self.prefix}:p33:open:{symbol}"

    @property
    def unknown_outcomes(self) -> str:
        """HASH: plan id, and since when the outcome of its order is unknown."""
        return f"{self.prefix}:p33:unknown"

    def order_memory(self, symbol: str) -> str:
        """HASH: order id, and what of it was already booked."""
        return f"{self.prefix}:p33:orders:{symbol}"

    def order_times(self, symbol: str) -> str:
        """ZSET: order id by the epoch ms of its latest booking; bounds the order memory."""
        return f"{self.prefix}:p33:order_times:{symbol}"
