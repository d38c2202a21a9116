"""Complete input of a judgement of the Governor: no rule reads anything else."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.execution.switches import TradingState
from brain.governor.kill_score import KillStats
from brain.governor.rules import GovernorRules
from brain.plans.permit import Kind
from brain.plans.plan import Plan


class EquityView(msgspec.Struct, frozen=True):
    """Equity of the account (USDT), its peak, the day's first, and the age of the last read (seconds).

    `read`: the equity of that read, with transfers since; an auto-disarm rests on it, too. `missed`: what may
    have been withdrawn while no process was there, so that it disarms nothing; `missed_today`: on this day.
    """

    equity: Decimal
    peak: Decimal
    day_open: Decimal
    age_sec: float
    read: Decimal | None = None
    missed: Decimal = Decimal(0)
    missed_today: Decimal = Decimal(0)


class ExposureView(msgspec.Struct, frozen=True):
    """Positions by mark price with live grants, without the plan itself (notionals in USDT).

    `symbols`: number of symbols with a position or a live grant of an open. `holds_symbol`: whether the
    plan's is one of them. `positions_notional`: of all positions alone, for the heat. `total_notional` and
    `symbol_notional`: positions and live grants of opens and adds, of the account and of the plan's symbol.
    """

    symbols: int
    holds_symbol: bool
    positions_notional: Decimal
    total_notional: Decimal
    symbol_notional: Decimal


class CountsView(msgspec.Struct, frozen=True):
    """Counts of the plan's symbol: grants in 3600 and 300 s, today's opened notional, last execution.

    `last_exec_sec` is None where there is none. `exit_blocked_since_ms`: the first block of
    an exit by its score with no other verdict since.
    """

    granted_hour: int
    granted_5min: int
    opened_today: Decimal
    last_exec_sec: Decimal | None
    exit_blocked_since_ms: int | None = None


class Efficiency(msgspec.Struct, frozen=True):
    """Capital efficiency of the symbol (P3.1), a hint; `age_sec` by the publisher's clock."""

    score: float
    confidence: float
    age_sec: float


class NeighbourView(msgspec.Struct, frozen=True):
    """Inputs of other services that are there, fresh and readable; what is not is None or empty.

    `guards`: types of the active risk guards. `budget_usd` (P2.8) and `target_usd` (P2.9) only where they are
    enforced. `external_heat`: of `capital:heat`, where that is the source.
    """

    frozen: bool = False
    blacklisted: bool = False
    guards: tuple[str, ...] = ()
    budget_usd: Decimal | None = None
    target_usd: Decimal | None = None
    efficiency: Efficiency | None = None
    external_heat: float | None = None


class GovernorCase(msgspec.Struct, frozen=True, kw_only=True):
    """Plan whose decision is EXECUTE, with every input of its judgement.

    Times ending in `_ms` are epoch milliseconds of Redis's clock; `entry_ms` is None where unknown. `kind` is
    the plan's at the present position, or, while that is not known (`kind_known` False), by its name: CLOSE,
    NONE for an UPDATE_SL, else OPEN. `quantity`: contracts of the order, of a close without one what the
    position gives, 0 while unknown. `mark_price` is None while unknown. `kill_score` is None where the plan
    has none; `kill_score_problem` is not empty where it cannot be read. `stats`: before this observation.
    `observed`: the observation belongs to this judgement (False: the symbol is not one of the exchange).
    `was_observed`: `stats` have it already, since the plan was published with another decision before.
    `redis_changed_ms`, `evicted_ms`: first sight of a new run of Redis and of evicted keys, 0 if never.
    `book_trusted`: positions of the account are known and proven. `exposure` and `equity` are None while
    unknown. `errors_5min`: results of errors in 300 s. `disarmed_today`: the day has had its auto-disarm.
    `unreadable`: of an entry, keys of the Governor's own counts that cannot be read; `exposure` is None then.
    """

    plan: Plan
    kind: Kind
    kind_known: bool
    quantity: Decimal
    mark_price: Decimal | None
    leverage: Decimal | None
    kill_score: float | None
    kill_score_problem: str
    stats: KillStats | None
    observed: bool
    entry_ms: int | None
    now_ms: int
    redis_changed_ms: int
    evicted_ms: int
    trading_state: TradingState
    kill_switch: bool
    book_trusted: bool
    equity: EquityView | None
    exposure: ExposureView | None
    counts: CountsView
    neighbours: NeighbourView
    errors_5min: int
    disarmed_today: bool
    rules: GovernorRules
    key_prefix: str = "quantum"
    was_observed: bool = False
    unreadable: tuple[str, ...] = ()
