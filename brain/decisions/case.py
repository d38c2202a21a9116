"""The complete input of a decision. What is not in here cannot have mattered."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.ledger.ledger import StoredLedger
from brain.plans.permit import OpenPermit
from brain.plans.plan import Plan
from brain.positions.position import LegPosition
from brain.symbols.symbol_rules import SymbolRules


class Rules(msgspec.Struct, frozen=True):
    """The settings that a decision depends on (seconds; percent for the tolerance)."""

    stale_threshold_sec: float
    cooldown_sec: float
    qty_tolerance_pct: Decimal
    plan_max_age_sec: float
    decision_ttl_sec: float
    permit_ttl_sec: float
    execution_grace_sec: float


class SnapshotView(msgspec.Struct, frozen=True):
    """A snapshot as the decision saw it.

    `age_sec` is measured from `verified_at` to now. `believed` is False when the snapshot was verified
    before trust in the stream was lost: then only a REST read sent after the loss counts, whatever its age.
    `shows_results` is False while it is not proven to contain the fills of all results that have arrived.
    """

    legs: tuple[LegPosition, ...]
    ts_epoch_ms: int
    age_sec: float
    believed: bool = True
    shows_results: bool = True


class Case(msgspec.Struct, frozen=True):
    """One plan and everything its decision rests on. A new field needs a default: see `AuditRecord`.

    Times ending in `_ms` are epoch milliseconds of Redis's clock, which stamps the stream entries:
    `entry_ms` (when the plan was published: its entry's id, or its arrival where ids are ahead of the clock;
    None where that is unknown), `now_ms`. `cooldown_text` is the raw value of the cooldown key.
    `settled` says that a result for this plan came before its decision. `redis_changed_ms` is when another
    run of Redis than before was first met, 0 if never: what the run before acknowledged last may be lost.
    `evicted_ms` is when Redis was last seen to have evicted keys, 0 if never. What this process has reserved
    it knows even then; `reservations_unsure_until_ms` is when the last reservation ends that another process
    may have made and Redis have evicted, 0 if there is none. `key_prefix` names the keys in `details`.
    `hedge_mode` is None while the account's position mode is unknown. `exchange_known` is False while the
    exchange has not told yet what it trades, or in which mode: then nothing is known of any symbol.
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
