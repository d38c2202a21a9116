"""The metrics that actors send events for: exposed name, labels, meaning.

Names, types and labels are those of docs/contract.md. Metrics that are views of live state are in `families`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: Microseconds of pure computing, up to a decision that came in too large a batch.
_COMPUTING_SEC = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25)
#: From a decision in one round trip to the Apply Layer's limit of 1.2 s and beyond.
_ANSWERING_SEC = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.8, 1.2, 2.5, 5.0, 10.0)
#: Up to the wait of an executor, in milliseconds.
_WAITING_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1200.0, 2500.0)

#: From the settle time of a drift up to a few looks at its evidence.
_REPAIRING_SEC = (1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Declared(msgspec.Struct, frozen=True):
    """One metric. `buckets` (seconds, unless its name says so) are the upper bounds of a histogram."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


#: Refused metric events, by why.
REFUSED_EVENTS = "p33_metric_events_refused_total"
#: Crashed, stalled, returned, or gave up (a group).
ACTOR_FAILURES = "p33_actor_failures_total"

#: Of the universe publisher; exposed only where that role is switched on.
UNIVERSE_CATALOGUE = (
    Declared("counter", "universe_refresh_total", "Refreshes of the universe", ("outcome",)),
    Declared("counter", "universe_changes_total", "Changes of the universe", ("event",)),
)

CATALOGUE = (
    Declared("counter", "p33_snapshot_total", "Positions read from the exchange", ("symbol", "status")),
    Declared("counter", "p33_ledger_update_total", "Ledgers moved by an executed result", ("symbol",)),
    Declared("counter", "p33_permit_total", "Decisions", ("symbol", "decision")),
    Declared("counter", "p33_permit_allow_total", "Permits that allow", ("symbol",)),
    Declared("counter", "p33_permit_deny_total", "Permits that deny", ("symbol", "reason")),
    Declared("counter", "p33_ondemand_snapshots_total", "Positions read for a decision that waited"),
    Declared("counter", "p33_plans_skipped_total", "Plans that asked for no permit", ("decision",)),
    Declared("counter", "p33_dead_letters_total", "Dead letters written", ("stream",)),
    Declared("counter", "p33_actor_restarts_total", "Actors started again", ("actor",)),
    Declared("counter", ACTOR_FAILURES, "Failures of actors and their groups, by kind", ("actor", "kind")),
    Declared("counter", "p33_stream_events_total", "Events of the private stream", ("event",)),
    Declared("counter", "p33_stream_divergence_total", "Reads that contradicted the private stream"),
    Declared("counter", "p33_rest_requests_total", "Requests to the exchange", ("endpoint", "status")),
    Declared("counter", "p33_notices_total", "Notices, by whether they arrived", ("kind", "outcome")),
    Declared("counter", REFUSED_EVENTS, "Metric events that fit no metric", ("why",)),
    Declared("gauge", "p33_ledger_amt", "Signed amount of the ledger (contracts)", ("symbol",)),
    Declared("gauge", "p33_snapshot_candidates", "Symbols that are kept warm"),
    Declared("gauge", "p33_ewma_latency_ms", "Smoothed latency of reading positions (ms)"),
    Declared("gauge", "p33_request_weight_used", "Own request weight of the last 60 s"),
    Declared("gauge", "p33_stream_trusted", "1 while silence of the private stream means quiet"),
    Declared(
        "histogram",
        "p33_evaluation_duration_seconds",
        "Deciding one plan, in memory",
        buckets=_COMPUTING_SEC,
    ),
    Declared(
        "histogram", "p33_decision_latency_seconds", "From stream entry to permit", buckets=_ANSWERING_SEC
    ),
    Declared(
        "histogram",
        "p33_ledger_lag_seconds",
        "From an execution's result to its booking",
        buckets=_ANSWERING_SEC,
    ),
    Declared(
        "histogram",
        "p33_push_latency_seconds",
        "From the exchange's event to its arrival",
        buckets=_ANSWERING_SEC,
    ),
)

#: Of the executor; exposed only where that role is switched on.
EXECUTOR_CATALOGUE = (
    Declared("counter", "apply_executed_total", "Orders that are over", ("status",)),
    Declared("counter", "apply_plan_processed_total", "Plans read for execution", ("decision",)),
    Declared("counter", "governor_block_total", "Plans refused by the Governor", ("reason",)),
    Declared("counter", "quantum_apply_execute_total", "Answers to orders", ("symbol", "step", "status")),
    Declared("counter", "reconcile_close_consumed_total", "RECONCILE_CLOSE plans begun", ("symbol",)),
    Declared(
        "counter",
        "reconcile_close_executed_total",
        "RECONCILE_CLOSE orders that are over",
        ("symbol", "status"),
    ),
    Declared(
        "counter", "reconcile_close_rejected_total", "RECONCILE_CLOSE plans refused", ("symbol", "reason")
    ),
    Declared(
        "counter",
        "reconcile_close_guardrail_fail_total",
        "RECONCILE_CLOSE plans that miss a guardrail",
        ("symbol", "rule"),
    ),
    Declared(
        "counter",
        "exec_orders_total",
        "Requests for orders, by what their answer proves",
        ("symbol", "outcome"),
    ),
    Declared("counter", "exec_orphans_total", "Orders of ours that were found without a record"),
    Declared("gauge", "quantum_apply_last_success_epoch", "End of the latest order (epoch s)", ("symbol",)),
    Declared("gauge", "exec_unknown", "Plans of which it is not known whether they have an order"),
    Declared("gauge", "exec_unknown_age_sec", "Age of the oldest of them (s)"),
    Declared("gauge", "exec_open_orders", "Records that are not final"),
    Declared("gauge", "exec_order_count", "Orders of the account in the present interval", ("interval",)),
    Declared("histogram", "permit_wait_ms", "Wait for permits that granted (ms)", buckets=_WAITING_MS),
    Declared(
        "histogram",
        "exec_order_latency_seconds",
        "From an order's request to its answer",
        buckets=_ANSWERING_SEC,
    ),
    Declared(
        "histogram",
        "exec_plan_to_order_seconds",
        "From a plan's entry to its begun order",
        buckets=_ANSWERING_SEC,
    ),
)

#: Of the reconcile engine; exposed only where that role is switched on.
RECONCILE_CATALOGUE = (
    Declared("counter", "p34_reconcile_drift_total", "Drifts, each once", ("symbol", "reason")),
    Declared("counter", "p34_reconcile_auto_repair_total", "Ledgers repaired by evidence", ("symbol",)),
    Declared("counter", "p34_reconcile_close_published_total", "Closes proposed", ("symbol",)),
    Declared("gauge", "p34_reconcile_hold_active", "1 while an own hold stands", ("symbol",)),
    Declared("gauge", "p34_reconcile_diff_amt", "Exchange minus ledger (contracts)", ("symbol",)),
    Declared("gauge", "p34_reconcile_last_fix_age_sec", "Age of the latest repair (s)", ("symbol",)),
    Declared("gauge", "p34_hold_seconds", "Age of an own hold (s)", ("symbol",)),
    Declared("gauge", "p34_manual_required", "1 while a person is needed", ("symbol",)),
    Declared("counter", "p34_evidence_lookups_total", "Looks at the evidence of drifts", ("outcome",)),
    Declared("histogram", "p34_repair_seconds", "From a drift to its repair", buckets=_REPAIRING_SEC),
)

#: Of the Governor; exposed only where that role is switched on.
GOVERNOR_CATALOGUE = (
    Declared("counter", "quantum_govern_allow_total", "Plans granted by the Governor", ("symbol",)),
    Declared("counter", "quantum_govern_block_total", "Plans refused by the Governor", ("symbol", "reason")),
    Declared("counter", "quantum_govern_disarm_total", "Auto-disarms", ("reason",)),
    Declared("gauge", "quantum_govern_exec_count_hour", "Grants of opens and adds in 3600 s", ("symbol",)),
    Declared("gauge", "quantum_govern_exec_count_5min", "Grants of opens and adds in 300 s", ("symbol",)),
    Declared("counter", "gov_p29_checked_total", "Opens and adds compared with an allocation", ("symbol",)),
    Declared("counter", "gov_p29_block_total", "Plans refused for the allocation of their symbol"),
    Declared("counter", "gov_p29_missing_total", "Opens and adds without an allocation"),
    Declared("counter", "gov_p29_stale_total", "Opens and adds whose allocation was too old"),
    Declared("counter", "p32_eff_apply_total", "Hints of capital efficiency", ("action", "reason")),
    Declared("gauge", "p32_eff_factor", "Latest factor of capital efficiency", ("symbol",)),
    Declared("counter", "gov_reduced_over_limit_total", "Closes above a day's limit", ("symbol", "limit")),
    Declared("gauge", "gov_kill_z", "Latest deviation of a kill score", ("symbol", "eval_type")),
    Declared("gauge", "gov_z_cutoff", "Cut-off that deviations are compared with", ("eval_type",)),
    Declared("gauge", "gov_trading_state", "1 for the present trading state", ("state",)),
    Declared("gauge", "gov_equity_usd", "Equity of the account (USDT)"),
    Declared("gauge", "gov_drawdown", "Loss of equity since its peak, as a fraction"),
    Declared("gauge", "gov_heat", "Notional of all positions by equity"),
    Declared("gauge", "gov_reserved_notional_usd", "Notional of live grants of opens and adds (USDT)"),
    Declared("gauge", "gov_open_positions", "Symbols with a position or a live grant of an open"),
    Declared("gauge", "gov_live_grants", "Grants that are not settled"),
    Declared("gauge", "gov_input_age_sec", "Age of an input of opens (s)", ("input",)),
    Declared("gauge", "gov_exit_blocked_seconds", "Time since which a score blocks exits (s)", ("symbol",)),
    Declared(
        "histogram",
        "gov_decision_latency_seconds",
        "From stream entry to the Governor's answer",
        buckets=_ANSWERING_SEC,
    ),
)

#: Of the intent bridge; exposed only where that role is switched on.
BRIDGE_CATALOGUE = (
    Declared("counter", "bridge_intents_total", "Intents, by what became of them", ("outcome",)),
    Declared("counter", "bridge_plans_total", "Plans made of intents", ("eval_type",)),
    Declared(
        "histogram", "bridge_lag_seconds", "From an intent's entry to its answer", buckets=_ANSWERING_SEC
    ),
)

#: Of decision intelligence; exposed only where that role is switched on.
INTELLIGENCE_CATALOGUE = (
    Declared("counter", "p35_results_total", "Results counted", ("decision",)),
    Declared("counter", "p35_reason_total", "Results of plans that were stopped", ("gate", "reason")),
    Declared("histogram", "p35_lag_seconds", "From a result to its count", buckets=_ANSWERING_SEC),
)
