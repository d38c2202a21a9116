"""Reasons for which no plan is made of an intent, word for word as in docs/contract.md."""

from __future__ import annotations

from enum import StrEnum


class IntentReason(StrEnum):
    """Reason of a refusal."""

    MALFORMED_INTENT = "malformed_intent"
    DUPLICATE_INTENT = "duplicate_intent"
    INTENT_EXPIRED = "intent_expired"
    FLAT_CLOSE = "flat_close"
    LOCKDOWN = "lockdown"
    SYMBOL_NOT_IN_UNIVERSE = "symbol_not_in_universe"
    ANTI_CHURN = "anti_churn"
    NO_PRICE = "no_price"
    NO_EXCHANGE_SNAPSHOT = "no_exchange_snapshot"
    BELOW_MIN_QTY = "below_min_qty"
    EXPOSURE = "exposure"
    STATE_CONTENDED = "state_contended"
    EVALUATION_FAILED = "evaluation_failed"
