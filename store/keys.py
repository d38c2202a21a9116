"""Names of all keys, under one prefix (`P33_KEY_PREFIX`)."""

from __future__ import annotations

from store.bridge_names import BridgeNames as BridgeNames
from store.plan_stream import PlanStream as PlanStream

GROUP = "p33"
#: Types of `risk:guard_active:<TYPE>`, each read by its name.
GUARDS = ("DAILY_LOSS", "DRAWDOWN", "EMERGENCY_FLATTEN", "CONSEC_LOSS")
#: Begins the owner of each hold of the reconcile engine.
OWN_HOLD = "p34:"
#: Life of the history after its latest minute (ms): 26 h.
HISTORY_TTL_MS = 93_600_000


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
        #: HASH: `<stream>|<entry id>` → the mark of a dead letter that was published again.
        self.republished = f"{prefix}:p33:republished"
        #: HASH: `kind|subject` of a notice → JSON of the person who has seen it, and until when.
        self.seen = f"{prefix}:p33:seen"
        #: Acts of operators that concern this service alone.
        self.own_events = f"{prefix}:stream:p33.events"
        #: HASH: consumer name → the lease under which it last began; written by roles alone.
        self.players = f"{prefix}:p33:players"
        #: HASH: minute of the day → record of the latest such minute (`brain/history.py`).
        self.history = f"{prefix}:p33:history"

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
        self.audit = f"{self.base}:audit" if shadow else f"{prefix}:stream:universe.audit"


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


class GovernorKeys:
    """Key names of the Governor, or of its shadow; docs/contract.md, "Governor"."""

    def __init__(self, keys: Keys, *, shadow: bool) -> None:
        prefix = keys.prefix
        self.prefix = prefix
        self.shadow = shadow
        self.base = base = f"{prefix}:governor:shadow" if shadow else f"{prefix}:governor"
        suffix = "_shadow" if shadow else ""
        self.plans = PlanStream(
            keys.plans, f"{base}:dead" if shadow else keys.dead_plans, f"governor{suffix}",
            f"{base}:last_plan_id",
        )  # fmt: skip
        self.results = PlanStream(
            keys.results, f"{base}:dead" if shadow else keys.dead_results, f"governor_result_monitor{suffix}",
            f"{base}:last_result_id",
        )  # fmt: skip
        #: STRING: another text after each change of the Governor's own keys.
        self.version = f"{base}:version"
        #: HASH: plan id → JSON of its live grant.
        self.reserved = f"{base}:reserved"
        self.equity = f"{base}:equity"
        self.events = f"{base}:events" if shadow else f"{prefix}:stream:governor.events"
        self.audit = f"{base}:audit" if shadow else f"{prefix}:stream:governor.audit"
        self.frozen = f"{prefix}:churn:global_freeze"
        self.guards = tuple(f"{prefix}:risk:guard_active:{name}" for name in GUARDS)
        self.heat = f"{prefix}:capital:heat"

    def permit(self, plan_id: str) -> str:
        return f"{self.prefix}:permit:{plan_id}"

    def block(self, plan_id: str) -> str:
        return f"{self.prefix}:governor:block:{plan_id}"

    def plan_mark(self, plan_id: str) -> str:
        """STRING: mark of a plan that was judged or observed."""
        return f"{self.base}:plan:{plan_id}"

    def disarm(self, date: str) -> str:
        """STRING, JSON: the auto-disarm of a UTC day."""
        return f"{self.base}:disarm:{date}"

    def window(self, symbol: str) -> str:
        """ZSET: plan ids of the grants that count, by their time (epoch ms)."""
        return f"{self.base}:window:{symbol}"

    def executions(self, symbol: str) -> str:
        """LIST: the same times in epoch seconds, newest first, for its present readers."""
        return f"{self.base}:exec:{symbol}"

    def opened(self, symbol: str, date: str) -> str:
        return f"{self.base}:daily:{symbol}:{date}"

    def reduced(self, symbol: str, date: str) -> str:
        return f"{self.base}:daily_reduced:{symbol}:{date}"

    def last_exec(self, symbol: str) -> str:
        return f"{self.base}:last_exec:{symbol}"

    def kill_stats(self, symbol: str) -> str:
        """HASH: statistics of the kill score."""
        return f"{self.base}:kill_stats:{symbol}"

    def blacklisted(self, symbol: str) -> str:
        return f"{self.prefix}:churn:blacklist:{symbol}"

    def budget(self, symbol: str) -> str:
        return f"{self.prefix}:portfolio:budget:{symbol}"

    def allocation(self, symbol: str) -> str:
        return f"{self.prefix}:allocation:target:{symbol}"

    def efficiency(self, symbol: str) -> str:
        return f"{self.prefix}:capital:efficiency:{symbol}"


class ReconcileKeys:
    """Key names of the reconcile engine, or of its shadow; docs/contract.md, "Reconcile engine"."""

    def __init__(self, keys: Keys, *, shadow: bool) -> None:
        prefix = keys.prefix
        self.shadow = shadow
        self.base = base = f"{prefix}:reconcile:shadow" if shadow else f"{prefix}:reconcile"
        self.events = f"{base}:events" if shadow else keys.events
        #: Streams of proposed closes: that of all plans, and that of an Apply Layer that reads them apart.
        self.plans = keys.plans
        self.closes = f"{prefix}:stream:reconcile.close"

    def hold(self, symbol: str) -> str:
        """STRING: `1` while the engine holds the symbol."""
        return f"{self.base}:hold:{symbol}"

    def hold_reason(self, symbol: str) -> str:
        return f"{self.base}:hold_reason:{symbol}"

    def hold_sig(self, symbol: str) -> str:
        """STRING: the owner of the hold, `p34:<12 hex digits>` for one of the engine."""
        return f"{self.base}:hold_sig:{symbol}"

    def state(self, symbol: str) -> str:
        """HASH: the state of a symbol's case."""
        return f"{self.base}:state:{symbol}"

    def close_cooldown(self, symbol: str, sig: str, bucket: int) -> str:
        """STRING: mark of a proposed close; `sig` is the hold's owner, `bucket` a number of the time."""
        return f"{self.base}:close:cooldown:{symbol}:{sig.removeprefix(OWN_HOLD)}:{bucket}"

    def close_client(self, client_order_id: str) -> str:
        """STRING: plan id of a proposed close, by the client order id that the executor gives its order."""
        return f"{self.base}:close:client:{client_order_id}"

    def close_out(self, symbol: str) -> str:
        """STRING: plan id of the symbol's latest proposed close, while it may yet be executed."""
        return f"{self.base}:close:out:{symbol}"


def role_audits(keys: Keys) -> dict[str, str]:
    """Return the audit stream of each role that acts, by the role's name in an explanation."""
    return {
        "intent": BridgeNames(keys.prefix, shadow=False).audit,
        "Governor": GovernorKeys(keys, shadow=False).audit,
        "P3.3": keys.audit,
        "executor": ExecutorKeys(keys).audit,
    }
