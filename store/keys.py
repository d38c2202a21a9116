"""Names of all keys, under one prefix (`P33_KEY_PREFIX`)."""

from __future__ import annotations

from typing import NamedTuple

GROUP = "p33"


class Keys:
    """Key names of docs/contract.md; only this service uses those below `<prefix>:p33:`."""

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
        #: Redis's run id, its number of evicted keys, and the time of the last growth of that number.
        self.evictions = f"{prefix}:p33:evictions"
        self.last_result_id = f"{prefix}:p33:last_result_id"
        self.ban = f"{prefix}:p33:exchange_ban_until_ms"
        #: HASH: consumer name → the lease under which it last began; written by roles alone.
        self.players = f"{prefix}:p33:players"

    def snapshot(self, symbol: str) -> str:
        return f"{self.prefix}:position:snapshot:{symbol}"

    def ledger(self, symbol: str) -> str:
        return f"{self.prefix}:position:ledger:{symbol}"

    def permit(self, plan_id: str) -> str:
        return f"{self.prefix}:permit:p33:{plan_id}"

    def permit_consumer(self, plan_id: str) -> str:
        """STRING: consumer of a permit, written by `permit_gate`; see docs/permits.md."""
        return f"{self.prefix}:permit_gate:consumed:{plan_id}"

    def hold(self, symbol: str) -> str:
        return f"{self.prefix}:reconcile:hold:{symbol}"

    def cooldown(self, symbol: str) -> str:
        return f"{self.prefix}:cooldown:last_exec_ts:{symbol}"

    def plan_mark(self, plan_id: str) -> str:
        """STRING: mark of a plan that was decided, or for which a result was booked before its decision."""
        return f"{self.prefix}:p33:plan:{plan_id}"

    def open_permits(self, symbol: str) -> str:
        """HASH: `v`, the version; `p:<plan_id>`, the quantity that the plan's permit still reserves."""
        return f"{self.prefix}:p33:open:{symbol}"

    @property
    def unknown_outcomes(self) -> str:
        """HASH: plan id → time since which the outcome of its order is unknown."""
        return f"{self.prefix}:p33:unknown"

    def order_memory(self, symbol: str) -> str:
        """HASH: order id → quantity already booked."""
        return f"{self.prefix}:p33:orders:{symbol}"

    def order_times(self, symbol: str) -> str:
        """ZSET: order id by epoch ms of its latest booking; bounds the order memory."""
        return f"{self.prefix}:p33:order_times:{symbol}"


class UniverseNames:
    """Keys of the universe as it is published, or of its shadow, which only its publisher reads."""

    def __init__(self, prefix: str, *, shadow: bool) -> None:
        self.base = f"{prefix}:universe:shadow" if shadow else f"{prefix}:cfg:universe"
        self.active = f"{self.base}:active"
        self.last_ok = f"{self.base}:last_ok"
        self.meta = f"{self.base}:meta"
        self.volumes = f"{self.base}:volumes"
        self.closing = f"{self.base}:closing"
        self.events = f"{self.base}:events" if shadow else f"{prefix}:stream:universe.events"


class PlanStream(NamedTuple):
    """Stream of plans as the executor reads it.

    `last_id` is the STRING of the last entry that was dealt with and had none pending before it; empty where
    none is kept.
    """

    key: str
    dead: str
    group: str
    last_id: str


class ExecutorKeys:
    """Key names of the executor; docs/contract.md, "Executor"."""

    def __init__(self, keys: Keys) -> None:
        prefix, own = keys.prefix, f"{keys.prefix}:executor"
        self.prefix = prefix
        manual = f"{prefix}:stream:apply.plan.manual"
        self.plans = PlanStream(keys.plans, keys.dead_plans, "intent_executor", f"{own}:last_plan_id")
        self.manual_plans = PlanStream(
            manual, f"{manual}.dead", "intent_executor_manual", f"{own}:last_manual_plan_id"
        )
        self.dry_runs = PlanStream(keys.plans, keys.dead_plans, "intent_executor_shadow", "")
        #: ZSET: plan ids of records that have not ended, by the time of the request (exchange's clock, ms).
        self.open = f"{own}:open"
        self.audit = f"{prefix}:stream:executor.audit"
        self.dry_run = f"{prefix}:stream:executor.dry_run"
        self.counts = f"{prefix}:metrics:intent_executor"
        self.manual_lane = f"{prefix}:manual_lane:enabled"
        self.trading_state = f"{prefix}:governor:trading_state"
        self.kill = f"{prefix}:kill"
        self.global_kill = f"{prefix}:global:kill_switch"
        self.mode = f"{prefix}:system:mode"
        #: STRINGs, in the order of `Switches`.
        self.switches = (self.trading_state, self.kill, self.global_kill, self.mode)
        self.lockdown = f"{prefix}:lockdown"
        #: Begins of keys, changes of which the server pushes.
        self.pushed = (f"{prefix}:permit:", f"{prefix}:governor:block:")

    def order(self, plan_id: str) -> str:
        """HASH: the record of a plan."""
        return f"{self.prefix}:executor:order:{plan_id}"

    def plan_of(self, client_order_id: str) -> str:
        """STRING: the plan id of an order's record."""
        return f"{self.prefix}:executor:client:{client_order_id}"

    def hold_reason(self, symbol: str) -> str:
        return f"{self.prefix}:reconcile:hold_reason:{symbol}"

    def hold_sig(self, symbol: str) -> str:
        """STRING: the owner of a hold, `exec:<client order id>` for one of the executor."""
        return f"{self.prefix}:reconcile:hold_sig:{symbol}"

    def block(self, plan_id: str) -> str:
        """STRING, JSON: the Governor's refusal of a plan."""
        return f"{self.prefix}:governor:block:{plan_id}"

    def stream(self, key: str) -> PlanStream:
        """Return one of the streams whose plans have records. Raises ValueError."""
        for stream in (self.plans, self.manual_plans):
            if stream.key == key:
                return stream
        raise ValueError(f"the executor reads no plans from {key!r}")
