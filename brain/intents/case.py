"""Complete input of the answer to an intent: no rule reads anything else."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.intents.intent import Intent


class BridgeRules(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that answers rest on.

    `max_age_sec`: of an intent of `trade.intent`; `exit_max_age_sec`: of the exit lanes. `skip_flat_sell`: a
    SELL of a flat symbol opens no short. `min_hold_sec`: no entry for so long after an own close; 0: off.
    `max_notional` (USDT): quantities of entries are cut to it; 0: off. `taker_fee_rate`: a fraction.
    `max_exposure_pct`: notional of all positions with this entry, in per cent of the equity; None: off.
    """

    max_age_sec: float
    exit_max_age_sec: float
    skip_flat_sell: bool
    min_hold_sec: float
    max_notional: Decimal
    taker_fee_rate: Decimal
    max_exposure_pct: Decimal | None = None


class Steps(msgspec.Struct, frozen=True):
    """Step and least quantity of a symbol's market orders (contracts)."""

    step: Decimal
    least: Decimal


class Exposure(msgspec.Struct, frozen=True):
    """Notional of all positions and equity (USDT); None while unknown."""

    notional: Decimal | None
    equity: Decimal | None


class IntentCase(msgspec.Struct, frozen=True, kw_only=True):
    """Intent with every input of its answer.

    Times are epoch milliseconds of Redis's clock; `published_ms` is None where the entry's age is unknown.
    `position` is the signed amount of the intent's leg, None while no fresh one is known, or the leg is not.
    `hedge_mode`: the account has two legs a symbol. `steps` is None for a symbol that the exchange does not
    list, or while its list is not known. `in_universe`: the symbol may be opened. `last_close_ms`: of the
    bridge's own last close of the symbol, None for none. `last_close_unreadable`: there is one in Redis that
    cannot be read. `exposure`: only where a limit is set.
    """

    intent: Intent
    published_ms: int | None
    now_ms: int
    mark_price: Decimal | None
    position: Decimal | None
    hedge_mode: bool
    steps: Steps | None
    in_universe: bool
    lockdown: bool
    last_close_ms: int | None
    rules: BridgeRules
    last_close_unreadable: bool = False
    exposure: Exposure | None = None
