"""Environment variables of the intent bridge."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from settings import kinds
from settings.variable import optional, setting

_DAY_SEC = 86400
_MOST_USDT = 10**12 - 1


@dataclass(frozen=True, kw_only=True)
class IntentBridgeSettings:
    """Settings of the intent bridge. Durations are seconds, notionals USDT."""

    intent_exit_lanes: tuple[str, ...] = setting(
        "INTENT_BRIDGE_EXIT_LANES",
        kinds.some_of("exit.intent", "harvest.intent"),
        "none",
        "intent bridge: streams of exits that it makes plans of, too",
    )
    intent_max_age_sec: float = setting(
        "INTENT_BRIDGE_MAX_AGE_SEC",
        kinds.seconds(1, 600),
        "30",
        "intent bridge: an older intent becomes no plan",
    )
    intent_idempotency_ttl_sec: int = setting(
        "INTENT_BRIDGE_IDEMPOTENCY_TTL",
        kinds.whole_seconds(3600, 30 * _DAY_SEC),
        "86400",
        "intent bridge: how long an intent counts as answered",
    )
    skip_flat_sell: bool = setting(
        "INTENT_BRIDGE_SKIP_FLAT_SELL",
        kinds.flag(),
        "false",
        "intent bridge: a SELL of a flat symbol opens no short",
    )
    min_hold_sec: float = setting(
        "MIN_HOLD_SECONDS",
        kinds.seconds(0, _DAY_SEC),
        "900",
        "intent bridge: no entry for so long after its own last close of the symbol; 0 for no pause",
    )
    max_intent_notional: Decimal = setting(
        "QT_MAX_NOTIONAL_USD",
        kinds.amount(0, _MOST_USDT),
        "3000",
        "intent bridge: quantities of entries are cut to it; 0 cuts nothing",
    )
    taker_fee_rate: Decimal = setting(
        "COST_TAKER_FEE_RATE",
        kinds.fraction(),
        "0.0004",
        "intent bridge: fee of the break-even price, as a fraction",
    )
    max_exposure_pct: Decimal | None = optional(
        "MAX_EXPOSURE_PCT",
        kinds.percent(0, 100_000),
        "intent bridge: notional of all positions in per cent of the equity, which no entry may exceed",
    )
