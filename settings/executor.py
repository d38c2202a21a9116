"""Environment variables of the executor, with those of its predecessors that must not be set."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from settings import kinds
from settings.variable import derived_or_none, optional, setting

#: Stop the start although the executor is off: another executor may read the same file.
REFUSED_IN_ANY_CASE: Final = (
    "GOVERNOR_BYPASS",
    "APPLY_DEDUPE_BYPASS",
    "INTENT_EXECUTOR_UPDATE_LEDGER_AFTER_EXEC",
)


def _max_notional(known: Mapping[str, Any]) -> str:
    return "500" if known.get("binance_testnet", True) else ""


@dataclass(frozen=True, kw_only=True)
class ExecutorSettings:
    """Settings of the executor. Durations are in the unit of their variable's name."""

    apply_mode: Literal["dry_run", "testnet"] | None = optional(
        "APPLY_MODE",
        kinds.one_of("dry_run", "testnet"),
        "executor: dry_run turns P33_EXECUTOR=on into dry_run; testnet changes nothing",
    )
    permit_wait_ms: int = setting(
        "APPLY_PERMIT_WAIT_MS",
        kinds.whole(1, 60_000),
        "1200",
        "executor: wait of a plan for its permits",
    )
    source_allowlist: tuple[str, ...] = setting(
        "INTENT_EXECUTOR_SOURCE_ALLOWLIST",
        kinds.names(),
        "intent_bridge,apply_layer,exit_management_agent",
        "executor: sources of plans that need no other reason to be trusted",
    )
    extra_permits: tuple[str, ...] = setting(
        "EXEC_EXTRA_PERMITS",
        kinds.extra_permits(),
        "",
        "executor: permits that a plan needs besides those of Governor and P3.3",
    )
    recv_window_ms: int = setting(
        "EXEC_RECV_WINDOW_MS",
        kinds.whole(1, 60_000),
        "3000",
        "executor: an order request that arrives later is refused by the exchange",
    )
    order_timeout_sec: float = setting(
        "EXEC_ORDER_TIMEOUT_SEC", kinds.seconds(0.1, 60), "5", "executor: wait for the answer to an order"
    )
    unknown_settle_sec: float = setting(
        "EXEC_UNKNOWN_SETTLE_SEC",
        kinds.seconds_above(10, 3600),
        "30",
        "executor: how long an order that is not found may still turn up; the exchange itself waits 10 s",
    )
    hold_ttl_sec: float = setting(
        "P34_HOLD_TTL_SEC",
        kinds.seconds(30, 86_400),
        "300",
        "executor, reconcile: life of a hold that is not renewed",
    )
    max_parallel: int = setting(
        "EXEC_MAX_PARALLEL", kinds.whole(1, 256), "16", "executor: orders under way at once"
    )
    orders_per_10s: int = setting(
        "EXEC_ORDERS_PER_10S",
        kinds.whole(1, 300),
        "240",
        "executor: our share of Binance's 300 in 10 s",
    )
    orders_per_min: int = setting(
        "EXEC_ORDERS_PER_MIN",
        kinds.whole(1, 1200),
        "960",
        "executor: our share of Binance's 1200 a minute",
    )
    apply_downsize: bool = setting(
        "EXEC_APPLY_DOWNSIZE", kinds.flag(), "false", "executor: opens are scaled by the Governor's factors"
    )
    max_notional_usdt: Decimal | None = derived_or_none(
        "EXEC_MAX_NOTIONAL_USDT",
        kinds.amount(0, 10**12 - 1),
        _max_notional,
        "executor: most notional of an opening order; 500 on the testnet, none elsewhere",
    )
    set_leverage: bool = setting(
        "EXEC_SET_LEVERAGE", kinds.flag(), "true", "executor: a plan's leverage is set before its order"
    )
    manual_lane: bool = setting(
        "EXEC_MANUAL_LANE", kinds.flag(), "false", "executor: plans of apply.plan.manual are executed, too"
    )
    allow_upsize: bool = setting(
        "INTENT_EXECUTOR_ALLOW_UPSIZE",
        kinds.flag(),
        "false",
        "executor: an open below the least notional may grow, within its permit",
    )
    min_notional_usdt: Decimal = setting(
        "INTENT_EXECUTOR_MIN_NOTIONAL_USDT",
        kinds.amount(0, 10**12 - 1),
        "0",
        "executor: least notional of an order, beside the exchange's own",
    )
    real_money: Literal["no", "yes"] = setting(
        "EXEC_REAL_MONEY",
        kinds.one_of("no", "yes"),
        "no",
        "executor: yes lets it send orders to the real exchange",
    )
    governor_bypass: bool = setting(
        "GOVERNOR_BYPASS",
        kinds.never("every order needs the permits of both, Governor and P3.3"),
        "false",
        "of the predecessor: executed without the Governor's permit; true is refused",
    )
    dedupe_bypass: bool = setting(
        "APPLY_DEDUPE_BYPASS",
        kinds.never("a plan is executed once, whatever is delivered again"),
        "false",
        "of the predecessor: executed a plan again; true is refused",
    )
    ledger_after_exec: bool = setting(
        "INTENT_EXECUTOR_UPDATE_LEDGER_AFTER_EXEC",
        kinds.never("P3.3 alone writes ledgers, and a fill that two book counts twice"),
        "false",
        "of the predecessor: wrote the ledger itself; true is refused",
    )
