"""The answers of `/status` and `/readyz`, as they are on the wire.

Times of day are ISO 8601 in UTC (this host's wall clock), durations seconds. What is not known is null.
"""

from __future__ import annotations

import msgspec

from brain.identifiers import EntryId, PlanId
from monitoring.gate_distribution import GateCounts
from monitoring.status.bridge import BridgeShown
from monitoring.status.governor import GovernorShown
from monitoring.status.intelligence import IntelligenceShown
from monitoring.status.reconcile import ReconcileShown
from page.content import Queue, Setting, Weight
from page.notices_content import NoticeShown
from supervision import NodeStatus


class Readiness(msgspec.Struct, frozen=True):
    """The answer of `/readyz`."""

    ready: bool
    reasons: list[str]
    #: Plans of the executor of which it is not known whether they have an order; no member without any.
    undecided: list[str] | msgspec.UnsetType = msgspec.UNSET
    #: A trading state that cannot be read; no member without one.
    trading_state: list[str] | msgspec.UnsetType = msgspec.UNSET


class LeaseShown(msgspec.Struct, frozen=True):
    """The lease: `held` here or not, and by which instance.

    `namesake`: the process that holds the lease under this instance's own name, None where none does.
    """

    held: bool
    holder: str | None
    namesake: str | None = None


class StreamShown(msgspec.Struct, frozen=True, kw_only=True):
    """The private stream. `trust_lost_at`: snapshots verified before are not trusted."""

    trusted: bool
    trust_lost_at: str | None
    connected_since: str | None = None
    proven_age_sec: float | None = None
    push_allowance_sec: float | None = None
    periods: int = 0
    losses: int = 0
    last_loss: str | None = None
    last_lost_at: str | None = None


class UncoveredSymbol(msgspec.Struct, frozen=True):
    """A symbol whose snapshot no proof of the stream makes fresher, why, and for how long."""

    symbol: str
    why: str
    for_sec: float


class UncoveredShown(msgspec.Struct, frozen=True):
    """`count` symbols are uncovered for 3 s or more; the first 20 of them by name."""

    count: int = 0
    symbols: list[UncoveredSymbol] = []


class SnapshotsShown(msgspec.Struct, frozen=True, kw_only=True):
    """The book of snapshots. Stale: older than the threshold, disputed, or from before the stream was lost.

    `never_read`: how many symbols trade of which no position was read since the start, and the first 20 of
    them by name. Null where all positions are read in one request.
    """

    count: int
    stale: int
    disbelieved: int
    oldest_age_sec: float | None
    median_age_sec: float | None
    stale_threshold_sec: float
    never_read: int | None = None
    never_read_symbols: tuple[str, ...] = ()
    uncovered: UncoveredShown = UncoveredShown()


class AllowlistShown(msgspec.Struct, frozen=True):
    """The symbols that may be opened, and their source; `age_sec` as of now.

    `trading`: how many of them the exchange trades; None before the first exchangeInfo.
    """

    source: str
    stale: bool
    count: int
    age_sec: float | None
    notes: tuple[str, ...]
    trading: int | None


class GatesShown(GateCounts, frozen=True):
    """Decisions since the process started, and of the last 5 min and the last hour among them."""

    last_5_min: GateCounts
    last_1_h: GateCounts


class MismatchShown(msgspec.Struct, frozen=True):
    """A symbol in which exchange and ledger differ by more than is tolerated; signed amounts as text.

    `apart_sec`: for how long, as far as comparisons have seen. `leg`: the one whose amounts these are, where
    the sums agree and the legs do not; else empty.
    """

    symbol: str
    exchange: str
    ledger: str | None
    apart_sec: float | None
    leg: str = ""


class WaitingResultShown(msgspec.Struct, frozen=True):
    """A result that is not booked until an operator has set what `why` names."""

    symbol: str
    plan_id: PlanId
    entry_id: EntryId
    why: str


class LedgersShown(msgspec.Struct, frozen=True):
    """The number of known ledgers, and those that differ from the exchange for 5 s or more.

    `in_flight` differ since less than 5 s: a fill is on the exchange before its result is booked.
    `waiting_results` are the first 20 of those that wait for an operator.
    """

    count: int
    in_flight: int
    mismatches: list[MismatchShown]
    waiting_results: list[WaitingResultShown] = []


class UnknownExecutionShown(msgspec.Struct, frozen=True):
    """A plan whose order may have been filled; its open permit ends in `ends_in_sec` at the latest."""

    plan_id: PlanId
    symbol: str
    since: str
    ends_in_sec: float


class UnknownExecutionsShown(msgspec.Struct, frozen=True):
    """`count` plans of which the executor does not know the outcome; the first 20 of them."""

    count: int = 0
    executions: list[UnknownExecutionShown] = []


class OpenExecutionShown(msgspec.Struct, frozen=True):
    """A plan of our own executor of which it is not known whether it has an order.

    `held`: its symbol is held for it. `lacking`: the evidence that is missing for a proof that there is none.
    """

    plan_id: PlanId
    symbol: str
    client_order_id: str
    age_sec: float
    held: bool
    lacking: list[str]


class OpenExecutionsShown(msgspec.Struct, frozen=True):
    """`count` plans of which the executor does not know whether they have an order; the first 20 of them."""

    count: int
    executions: list[OpenExecutionShown]


class UnreadableSymbol(msgspec.Struct, frozen=True):
    """A symbol whose plans are denied, because what the exchange sent of it cannot be read."""

    symbol: str
    why: str


class UnreadableShown(msgspec.Struct, frozen=True):
    """`count` symbols cannot be read; `symbols` are the first 50 of them by name."""

    count: int
    symbols: list[UnreadableSymbol]


class ExchangeShown(msgspec.Struct, frozen=True):
    """Refusals of the exchange at present, and why (null: none), and what of its answers is unreadable."""

    trouble: str | None
    unreadable: UnreadableShown


class EvictionShown(msgspec.Struct, frozen=True):
    """Redis's `maxmemory-policy`, whether it lets Redis evict keys, and how many it has since its start."""

    policy: str
    may_evict: bool
    evicted_keys: int


class ClocksShown(msgspec.Struct, frozen=True, kw_only=True):
    """The clocks as measured by this host.

    `redis_offset_sec`: how far Redis's clock is ahead of this host's (negative: behind), give or take
    `redis_uncertainty_sec`; null until Redis has answered. `ids_ahead_sec`: by stream, how far the newest id
    is ahead of Redis's clock, where that is more than 1 s. `troubles`: what is wrong, a sentence each.
    """

    redis_offset_sec: float | None
    redis_uncertainty_sec: float | None
    ids_ahead_sec: dict[str, float]
    troubles: list[str]


class UniverseShown(msgspec.Struct, frozen=True, kw_only=True):
    """The universe publisher: `mode` is `on` or `shadow`, `doing` a sentence.

    The others are null while this instance has published nothing under its lease.
    """

    mode: str
    doing: str
    symbols: int | None = None
    age_sec: float | None = None
    stale: bool | None = None
    error: str | None = None


class ExecutorShown(msgspec.Struct, frozen=True, kw_only=True):
    """The executor: `mode` is `on` or `dry_run`, `doing` a sentence.

    `open_orders`: the number of orders that are not final; null where this instance sends none. `waits_for`:
    another executor of the same plans, null where there is none.
    """

    mode: str
    doing: str
    open_orders: int | None = None
    waits_for: str | None = None


class RolesShown(msgspec.Struct, frozen=True, kw_only=True):
    """The roles that are switched on; one that is off is no member."""

    universe: UniverseShown | msgspec.UnsetType = msgspec.UNSET
    executor: ExecutorShown | msgspec.UnsetType = msgspec.UNSET
    governor: GovernorShown | msgspec.UnsetType = msgspec.UNSET
    reconcile: ReconcileShown | msgspec.UnsetType = msgspec.UNSET
    intent_bridge: BridgeShown | msgspec.UnsetType = msgspec.UNSET
    p35: IntelligenceShown | msgspec.UnsetType = msgspec.UNSET


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/status`."""

    build_tag: str
    version: str
    instance: str
    started_at: str
    uptime_sec: float
    ready: bool
    reasons: list[str]
    tree: NodeStatus
    lease: LeaseShown
    exchange: ExchangeShown
    stream: StreamShown
    snapshots: SnapshotsShown
    allowlist: AllowlistShown | None
    symbols_known: int | None
    hedge_mode: bool | None
    ledgers_adopted: bool
    request_weight_used: int | None
    weight: Weight
    ledgers: LedgersShown
    append_only: bool | None
    eviction: EvictionShown | None
    clocks: ClocksShown
    gates: GatesShown
    channels: list[Queue]
    settings: tuple[Setting, ...]
    unknown_executions: UnknownExecutionsShown = UnknownExecutionsShown()
    #: What fires now, the most urgent first: the first 200.
    notices: list[NoticeShown] = []
    notices_left_out: int = 0
    #: No member where all roles are off.
    roles: RolesShown | msgspec.UnsetType = msgspec.UNSET
    #: Of our own executor; no member without one.
    open_executions: OpenExecutionsShown | msgspec.UnsetType = msgspec.UNSET
