"""Everything that the page shows, as plain records. Moments are epoch milliseconds, durations seconds."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from page.intents import Intents
from page.open_cases import Reconcile
from page.result_windows import ResultWindows
from page.tone import Tone


class Overall(msgspec.Struct, frozen=True):
    """The headline: the state of the service in one line, with its reasons."""

    tone: Tone
    headline: str
    reasons: tuple[str, ...]


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """A supervisor or actor with what is below it. `since_sec`: how long it has been in its state."""

    name: str
    state: str
    tone: Tone
    waiting_for: tuple[str, ...]
    restarts: int
    last_reason: str | None
    since_sec: float | None
    children: tuple[Actor, ...] = ()


class SymbolAge(msgspec.Struct, frozen=True):
    """A symbol's snapshot: how old it is, whether it is trusted, and the signed amount if not flat."""

    symbol: str
    age_sec: float
    trusted: bool
    amount: str | None


class Ages(msgspec.Struct, frozen=True):
    """All snapshots by symbol."""

    snapshots: tuple[SymbolAge, ...]
    stale_threshold_sec: float


class SymbolReasons(msgspec.Struct, frozen=True):
    """Symbols with a reason each; `left_out`: the number of those that are not shown."""

    symbols: tuple[tuple[str, str], ...]
    left_out: int


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """The private stream, as in `/status`."""

    trusted: bool
    proven_age_sec: float | None
    push_allowance_sec: float | None
    connected_since: str | None
    periods: int
    losses: int
    last_loss: str | None
    last_lost_at: str | None


class GateStep(msgspec.Struct, frozen=True):
    """Decisions by reason, of one step of a history."""

    allowed: Mapping[str, int]
    denied: Mapping[str, int]


class GateHistory(msgspec.Struct, frozen=True):
    """Steps of `step_sec` each, oldest first; `title` says of what time, `short` the same for a column."""

    title: str
    short: str
    step_sec: int
    steps: tuple[GateStep, ...]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One decision as a row. `order` is what may be executed, such as `SELL 0.028`.

    `latency_ms` is None where it is not known when the plan was published.
    """

    plan_id: str
    symbol: str | None
    allow: bool
    reason: str
    kind: str
    order: str
    decided_ms: int
    latency_ms: int | None


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol in exchange and ledger, signed amounts as text; None where the ledger is not known.

    `apart_sec` is how long they have been seen apart, None while they agree. `leg`: the one whose amounts
    these are, where the sums agree and the legs do not; else empty.
    """

    symbol: str
    exchange: str
    ledger: str | None
    difference: str | None
    apart_sec: float | None
    tone: Tone
    leg: str = ""


class Holdings(msgspec.Struct, frozen=True):
    """Positions that are not flat, the `apart` mismatches first; `left_out`: the number of rows not shown."""

    rows: tuple[Holding, ...]
    apart: int
    left_out: int
    tolerance_pct: str


class TimeLeft(msgspec.Struct, frozen=True):
    """A symbol that may not be traded for now; `left_sec` is None for what does not end by itself."""

    symbol: str
    left_sec: float | None


class HoldsAndCooldowns(msgspec.Struct, frozen=True, kw_only=True):
    """Holds and cooldowns; `unread` says why there is nothing to be seen of them.

    `problems`: keys that deny plans until they are corrected, a sentence each.
    """

    holds: tuple[TimeLeft, ...]
    cooldowns: tuple[TimeLeft, ...]
    left_out: int
    unread: str | None
    problems: tuple[str, ...] = ()


class UnknownExecution(msgspec.Struct, frozen=True):
    """A plan whose order may have been filled, and when its open permit ends at the latest."""

    plan_id: str
    symbol: str
    since: str
    left_sec: float


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """Request weight: ours of the last 60 s, and everybody's at this address in the exchange's minute."""

    own_used: int
    own_budget: int
    address_used: int
    address_limit: int
    ban_left_sec: float | None


class Setting(msgspec.Struct, frozen=True):
    """A setting, secrets masked."""

    name: str
    value: str
    origin: str


class Queue(msgspec.Struct, frozen=True):
    """A channel: what waits in it, and what it dropped (None: its rule drops nothing)."""

    name: str
    depth: int
    dropped: int | None


class Role(msgspec.Struct, frozen=True):
    """A role that is switched on: its name, its mode (`on`, `shadow`, `dry_run`) and what it is doing."""

    name: str
    mode: str
    tone: Tone
    doing: str


class Limit(msgspec.Struct, frozen=True):
    """A limit of the Governor, by its setting: `full` is the used part (None: not known)."""

    name: str
    symbol: str | None
    used: str | None
    limit: str
    full: float | None


class KillPoint(msgspec.Struct, frozen=True):
    """A kill score: `z` and `cutoff` where there was a verdict; `granted` is None for one observed alone."""

    at_ms: int
    kill_score: float
    z: float | None
    cutoff: float | None
    granted: bool | None
    reason: str


class KillHistory(msgspec.Struct, frozen=True):
    """The latest kill scores of a symbol and evaluation type (`entry`, `exit`), oldest first."""

    symbol: str
    eval_type: str
    points: tuple[KillPoint, ...]


class Governor(msgspec.Struct, frozen=True, kw_only=True):
    """The Governor: trading state with its tone, the account's figures by name, limits, kill scores."""

    state: str
    tone: Tone
    doing: str
    figures: tuple[tuple[str, str], ...]
    limits: tuple[Limit, ...]
    kill_scores: tuple[KillHistory, ...]


class PageContent(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one page."""

    as_of_ms: int
    build_tag: str
    instance: str
    started_at: str
    uptime_sec: float
    overall: Overall
    tree: Actor
    ages: Ages
    #: The exchange sent something of them that cannot be read.
    unreadable: SymbolReasons
    #: No proof of the stream makes their snapshot fresher.
    uncovered: SymbolReasons
    stream: Stream
    gates: tuple[GateHistory, ...]
    decided: tuple[Decided, ...]
    latencies_ms: tuple[int, ...]
    holdings: Holdings
    holds_and_cooldowns: HoldsAndCooldowns
    weight: Weight
    lease_holder: str | None
    lease_held: bool
    allowlist: str
    queues: tuple[Queue, ...]
    settings: tuple[Setting, ...]
    unknown_executions: tuple[UnknownExecution, ...] = ()
    roles: tuple[Role, ...] = ()
    #: None where this role is off.
    governor: Governor | None = None
    #: None where this role is off.
    reconcile: Reconcile | None = None
    #: None where this role is off.
    intelligence: ResultWindows | None = None
    #: None where this role is off.
    intents: Intents | None = None
