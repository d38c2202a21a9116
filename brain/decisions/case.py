"""Complete input of a decision: no check reads anything else."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.ledger.ledger import StoredLedger
from brain.plans.permit import OpenPermit
from brain.plans.plan import Plan
from brain.positions.position import LegPosition
from brain.symbols.symbol_rules import SymbolRules


class Rules(msgspec.Struct, frozen=True):
    """Settings that a decision depends on (seconds; percent for the tolerance)."""

    stale_threshold_sec: float
    cooldown_sec: float
    qty_tolerance_pct: Decimal
    plan_max_age_sec: float
    decision_ttl_sec: float
    permit_ttl_sec: float
    execution_grace_sec: float


class SnapshotView(msgspec.Struct, frozen=True):
    """Snapshot as used by the decision.

    `age_sec` is measured from `verified_at` to now. `trusted` (`believed` in records) is False when the
    snapshot was verified before trust in the stream was lost, or is disputed. `shows_results` is False while
    it is not proven to contain the fills of all results that have arrived.
    """

    legs: tuple[LegPosition, ...]
    ts_epoch_ms: int
    age_sec: float
    trusted: bool = msgspec.field(default=True, name="believed")
    shows_results: bool = True


class Case(msgspec.Struct, frozen=True):
    """Plan with every input of its decision. A new field needs a default: see `AuditRecord`.


    Times ending in `_ms` are epoch milliseconds of Redis's clock, which stamps the stream entries.
    `entry_ms`: time of publication, from the entry's id, or its arrival where ids are ahead of the clock;
    None: unknown. `cooldown_text`: raw value of the cooldown key. `settled`: a result for this plan came
    before its decision. `redis_changed_ms`: first sight of a new run of Redis, 0 if never; the last writes
    that the run before acknowledged may be lost. `evicted_ms`: last sight of evicted keys, 0 if never; this
    process keeps its own reservations even then. `reservations_unsure_until_ms`: end of the last reservation
    that another process may have made and Redis evicted, 0 if there is none. `key_prefix`: for `details`.
    `hedge_mode` is None while the account's position mode is unknown. `exchange_known` is False until symbols
    and position mode have been read from the exchange.
    """

    plan: Plan
    entry_ms: int | None
    now_ms: int
    settled: bool
    redis_changed_ms: int
    in_allowlist: bool
    symbol_rules: SymbolRules | None
    hedge_mode: bool | None
    hold: bool
    snapshot: SnapshotView | None
    ledger: StoredLedger
    cooldown_text: str | None
    open_permits: tuple[OpenPermit, ...]
    rules: Rules
    exchange_known: bool = True
    evicted_ms: int = 0
    reservations_unsure_until_ms: int = 0
    key_prefix: str = "quantum"
