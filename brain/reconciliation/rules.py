"""Settings of the reconcile engine that its rules use."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec


class DriftCause(StrEnum):
    """Sender of the trades that the ledger lacks; `none`: no trade explains the drift.

    `reconcile_close`: an order of a RECONCILE_CLOSE, which removes what the ledger never had. It moves no
    ledger, so it is never booked, and no setting can list it.
    """

    OWN_UNBOOKED = "own_unbooked"
    OWN_ORPHAN = "own_orphan"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    SETTLEMENT = "settlement"
    STOP = "stop"
    MANUAL = "manual"
    RECONCILE_CLOSE = "reconcile_close"
    NONE = "none"


#: Causes that are booked without being listed in `P34_ADOPT_CAUSES`.
OWN_CAUSES = frozenset({DriftCause.OWN_UNBOOKED, DriftCause.OWN_ORPHAN})
#: Causes that `P34_ADOPT_CAUSES` may list.
ADOPTABLE_CAUSES = frozenset(
    {
        DriftCause.LIQUIDATION,
        DriftCause.ADL,
        DriftCause.SETTLEMENT,
        DriftCause.STOP,
        DriftCause.MANUAL,
    }
)


class ReconcileRules(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, see docs/contract.md, "Reconcile engine". Durations are seconds, weights request weight.

    `adopted`: all causes whose trades are booked. `history_lag_sec`: the exchange's lists of trades may lag
    so far behind; a drift that they do not explain for longer has no evidence.
    """

    cadence_sec: float
    exchange_freshness_sec: float
    tolerance_pct: Decimal
    evidence_window_sec: float
    hold_ttl_sec: float
    settle_sec: float
    clear_after_sec: float
    adopted: frozenset[DriftCause]
    hold_on_stale: bool
    closes_excess: bool
    close_after_sec: float
    weight_per_min: int
    history_lag_sec: float = 15.0
