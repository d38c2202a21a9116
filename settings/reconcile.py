"""Environment variables of the reconcile engine."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from settings import kinds
from settings.secret import Secret
from settings.variable import derived, optional, setting

_DAY_SEC = 86400
#: Causes whose trades are booked where they are listed; an own order's trades are booked in any case.
_CAUSES: Final = ("liquidation", "adl", "settlement", "stop", "manual")
#: Secret of the predecessor's source, which is public.
_PUBLIC_SECRET: Final = "quantum_reconcile_secret_change_in_prod"  # noqa: S105 - refused
_USUAL_TOLERANCE: Final = Decimal("1.0")


def _tolerance(known: Mapping[str, Any]) -> str:
    """Return 1 %, or what P3.3 tolerates where that is less."""
    return f"{min(_USUAL_TOLERANCE, known.get('qty_tolerance_pct', _USUAL_TOLERANCE)):f}"


@dataclass(frozen=True, kw_only=True)
class ReconcileSettings:
    """Settings of the reconcile engine. Durations are seconds."""

    reconcile_allowlist: tuple[str, ...] = setting(
        "P34_ALLOWLIST", kinds.symbols(), "", "reconcile: compares these symbols alone; empty: all"
    )
    loop_cadence_sec: float = setting(
        "P34_LOOP_CADENCE_SEC",
        kinds.seconds(0.1, 10),
        "1.0",
        "reconcile: how often all symbols are compared",
    )
    exchange_freshness_sec: float = setting(
        "P34_EXCHANGE_FRESHNESS_SEC",
        kinds.seconds(1, 300),
        "10",
        "reconcile: an older position is not compared",
    )
    qty_drift_tolerance_pct: Decimal = derived(
        "P34_QTY_DRIFT_TOLERANCE_PCT",
        kinds.percent(0, 100),
        _tolerance,
        "reconcile: a larger difference holds its symbol until it is settled",
    )
    evidence_window_sec: float = setting(
        "P34_EVIDENCE_WINDOW_SEC",
        kinds.seconds(10, 6 * _DAY_SEC),
        "300",
        "reconcile: trades from so long before a drift was first seen are evidence",
    )
    settle_sec: float = setting(
        "P34_SETTLE_SEC",
        kinds.seconds(0.5, 60),
        "2",
        "reconcile: a difference that lasts for less is none",
    )
    clear_after_sec: float = setting(
        "P34_CLEAR_AFTER_SEC",
        kinds.seconds(0, 300),
        "3",
        "reconcile: a hold is released after so long an agreement",
    )
    adopt_causes: tuple[str, ...] = setting(
        "P34_ADOPT_CAUSES",
        kinds.some_of(*_CAUSES),
        "liquidation,adl,settlement",
        "reconcile: trades of these causes are booked as well as own ones",
    )
    hold_on_stale: bool = setting(
        "P34_HOLD_ON_STALE",
        kinds.flag(),
        "false",
        "reconcile: a symbol whose position or ledger is not known is held, too",
    )
    reconcile_close: Literal["off", "excess"] = setting(
        "P34_CLOSE",
        kinds.one_of("off", "excess"),
        "off",
        "reconcile: proposes to close what the exchange holds beyond the ledger",
    )
    close_after_sec: float = setting(
        "P34_CLOSE_AFTER_SEC",
        kinds.seconds(10, 3600),
        "60",
        "reconcile: a close is proposed after so long a hold",
    )
    close_stream: str | None = optional(
        "P34_CLOSE_STREAM",
        kinds.matching(
            r"[A-Za-z0-9_.:-]{1,200}", "the name of a stream, such as quantum:stream:reconcile.close"
        ),
        "reconcile: stream of proposed closes; apply.plan without it",
    )
    reconcile_hmac_secret: Secret | None = optional(
        "RECONCILE_HMAC_SECRET",
        kinds.password_but(_PUBLIC_SECRET),
        "reconcile: when set, proposed closes carry an HMAC",
    )
    reconcile_close_secret: Secret | None = optional(
        "RECONCILE_CLOSE_SECRET",
        kinds.password_but(_PUBLIC_SECRET),
        "reconcile: the same by its former name",
    )
    reconcile_weight_per_min: int = setting(
        "P34_WEIGHT_PER_MIN",
        kinds.whole(30, 1200),
        "60",
        "reconcile: request weight that evidence may use in 60 s",
    )
    ghost_purge_interval_sec: str | None = optional(
        "P34_GHOST_PURGE_INTERVAL_SEC",
        kinds.matching(r"[ -~]{1,64}", "any text, without effect: no ledger is ever purged"),
        "reconcile: of the predecessor, without effect; no ledger is ever purged",
    )

    @property
    def close_secret(self) -> Secret | None:
        """Secret of the HMAC of proposed closes, by its present or its former name."""
        return self.reconcile_hmac_secret or self.reconcile_close_secret
