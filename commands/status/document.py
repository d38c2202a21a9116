"""Decoder of `/status`, tolerant: the daemon may be older or newer than this command.

Fields that are not here are ignored, and every field that is here may be missing.
"""

from __future__ import annotations

import msgspec


class Node(msgspec.Struct, frozen=True):
    """A supervisor or an actor. `since_sec`: how long it has been in its state."""

    name: str = "?"
    state: str = "?"
    waiting_for: list[str] = []
    restarts: int = 0
    last_reason: str | None = None
    since_sec: float | None = None
    children: list[Node] = []


class Lease(msgspec.Struct, frozen=True):
    held: bool = False
    holder: str | None = None


class Stream(msgspec.Struct, frozen=True):
    """The private stream."""

    trusted: bool = False
    proven_age_sec: float | None = None
    losses: int = 0
    last_loss: str | None = None
    last_lost_at: str | None = None


class Snapshots(msgspec.Struct, frozen=True):
    count: int = 0
    stale: int = 0
    oldest_age_sec: float | None = None
    median_age_sec: float | None = None
    stale_threshold_sec: float | None = None
    never_read: int | None = None


class Allowlist(msgspec.Struct, frozen=True):
    """The symbols that may be opened. `trading`: how many of them the exchange trades."""

    source: str = "?"
    stale: bool = False
    count: int = 0
    age_sec: float | None = None
    notes: list[str] = []
    trading: int | None = None


class Gates(msgspec.Struct, frozen=True):
    """Decisions of one stretch of time."""

    allow: int = 0
    deny: int = 0
    allow_by_reason: dict[str, int] = {}
    deny_by_reason: dict[str, int] = {}

    @property
    def decisions(self) -> int:
        return self.allow + self.deny


class AllGates(Gates, frozen=True):
    """Since the start, and of the last five minutes among them."""

    last_5_min: Gates = Gates()


class Mismatch(msgspec.Struct, frozen=True):
    """A symbol in which exchange and ledger disagree; signed amounts as text."""

    symbol: str = "?"
    exchange: str | None = None
    ledger: str | None = None
    apart_sec: float | None = None
    leg: str = ""


class SymbolWithReason(msgspec.Struct, frozen=True):
    """A symbol, and why it cannot be read or has a result that waits for an operator."""

    symbol: str = "?"
    why: str = ""


class Ledgers(msgspec.Struct, frozen=True):
    """`in_flight`: fills that the exchange has and whose results are still to be booked."""

    count: int | None = None
    in_flight: int = 0
    mismatches: list[Mismatch] = []
    waiting_results: list[SymbolWithReason] = []


class UnknownExecution(msgspec.Struct, frozen=True):
    """A plan whose order may have been filled."""

    plan_id: str = "?"
    symbol: str = "?"
    ends_in_sec: float | None = None


class UnknownExecutions(msgspec.Struct, frozen=True):
    """Their number, and the first of them."""

    count: int = 0
    executions: list[UnknownExecution] = []


class Weight(msgspec.Struct, frozen=True):
    """Request weight: this service's of the last 60 s, and this address's in this minute."""

    own_used: int | None = None
    own_budget: int | None = None
    address_used: int | None = None
    address_limit: int | None = None
    ban_left_sec: float | None = None


class Unreadable(msgspec.Struct, frozen=True):
    """Symbols that cannot be read: their number, and the first of them."""

    count: int = 0
    symbols: list[SymbolWithReason] = []


class Exchange(msgspec.Struct, frozen=True):
    """Refusals of the exchange, and what of its answers is unreadable."""

    trouble: str | None = None
    unreadable: Unreadable = Unreadable()


class Eviction(msgspec.Struct, frozen=True):
    """Redis's eviction policy, and how many keys it has evicted."""

    policy: str = "?"
    may_evict: bool = False
    evicted_keys: int = 0


class Clocks(msgspec.Struct, frozen=True):
    """Faults of the clocks, a sentence each."""

    troubles: list[str] = []


class Limit(msgspec.Struct, frozen=True):
    """A limit of the Governor; `symbol` is None for one of the account, `full` the used part."""

    name: str = "?"
    symbol: str | None = None
    used: str | None = None
    limit: str = "?"
    full: float | None = None


class OpenCase(msgspec.Struct, frozen=True):
    """An open case of the reconcile engine: exchange less ledger, and why it is not repaired."""

    symbol: str = "?"
    status: str = "?"
    difference: str = "?"
    why: str = ""
    for_sec: float | None = None


class Role(msgspec.Struct, frozen=True):
    """A role. `cases` are the reconcile engine's; from `trading_state` on of the Governor alone."""

    mode: str = "?"
    doing: str = ""
    stale: bool | None = None
    waits_for: str | None = None
    open_cases: int | None = None
    cases: list[OpenCase] = []
    trading_state: str | None = None
    kill_switch: bool | None = None
    equity: str | None = None
    heat: float | None = None
    drawdown: float | None = None
    limits: list[Limit] = []


class Setting(msgspec.Struct, frozen=True):
    name: str = "?"
    value: str = ""


class Notice(msgspec.Struct, frozen=True):
    """A condition that fires, since when, and the person who has seen it."""

    kind: str = "?"
    subject: str = ""
    text: str = ""
    since: str | None = None
    for_sec: float | None = None
    seen_by: str | None = None
    seen_until: str | None = None


class Status(msgspec.Struct, frozen=True):
    """One look at the service."""

    build_tag: str = "?"
    instance: str = "?"
    uptime_sec: float | None = None
    ready: bool = False
    reasons: list[str] = []
    tree: Node = Node()
    lease: Lease = Lease()
    exchange: Exchange = Exchange()
    stream: Stream = Stream()
    snapshots: Snapshots = Snapshots()
    allowlist: Allowlist | None = None
    hedge_mode: bool | None = None
    gates: AllGates = AllGates()
    ledgers: Ledgers | None = None
    weight: Weight | None = None
    request_weight_used: int | None = None
    append_only: bool | None = None
    eviction: Eviction | None = None
    clocks: Clocks = Clocks()
    settings: list[Setting] = []
    unknown_executions: UnknownExecutions = UnknownExecutions()
    roles: dict[str, Role] = {}
    notices: list[Notice] = []

    @property
    def weight_used(self) -> int | None:
        """Our request weight of the last 60 s."""
        return self.request_weight_used if self.weight is None else self.weight.own_used

    @property
    def weight_budget(self) -> int | None:
        """The budget of request weight a minute, from the record or from the settings."""
        if self.weight is not None and self.weight.own_budget is not None:
            return self.weight.own_budget
        budget = next((each.value for each in self.settings if each.name == "P33_WEIGHT_BUDGET_PER_MIN"), "")
        return int(budget) if budget.isdecimal() else None


STATUS = msgspec.json.Decoder(Status)
