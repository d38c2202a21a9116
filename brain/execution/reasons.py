"""Reasons in `error` of a result, word for word as in docs/contract.md, and the errors of skipped plans.

The words of the gate (`permit_…`) are its own: `permit_gate.answers`. They begin a text only where no permit
was consumed, since the ledger writer reads them so (`brain.ledger.refusal_words`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.identifiers import Symbol, lenient_text
from brain.json_text import read_json
from brain.text_fields import truncate

PLAN_EXPIRED = "plan_expired"
MALFORMED_PLAN = "malformed_plan"
EVALUATION_FAILED = "evaluation_failed"
RECOVERING = "recovering"
KILL_SWITCH_ACTIVE = "kill_switch_active"
TRADING_HALTED = "trading_halted"
RECONCILE_HOLD_ACTIVE = "reconcile_hold_active"
BELOW_MIN_QTY = "below_min_qty"
MIN_NOTIONAL_CHECK_FAILED = "min_notional_check_failed"
POSITION_TOO_LARGE = "position_too_large"
ORDER_RATE_LIMIT = "order_rate_limit"
ORDER_NOT_FOUND = "order_not_found"
NOTHING_TO_EXECUTE = "nothing_to_execute"
#: Counted and logged, never published: the plan has had its result.
DUPLICATE_PLAN = "duplicate_plan"

_LONGEST = 200
_CODES = msgspec.json.Decoder(list[str])


def source_not_allowed(source: str) -> str:
    """Return the reason for a source outside the list, whose plan P3.3 did not allow in time."""
    return f"source_not_allowed:{_word(source)}"


def symbol_not_in_allowlist(symbol: Symbol) -> str:
    """Return the reason for an open or add outside the universe."""
    return f"symbol_not_in_allowlist:{symbol}"


def leverage_refused(code: int | str) -> str:
    """Return the reason for a leverage that was not set; `code` is the exchange's, or a word."""
    return f"leverage_refused:{code}"


def not_sent(why: str) -> str:
    """Return the reason for a request of which no byte left this host."""
    return f"not_sent:{_word(why)}"


def skipped(fields: Mapping[bytes, bytes], decision: str) -> str:
    """Return the error of a plan that asks for no order: its own, or its decision in lower case."""
    for name in (b"error", b"reason"):
        if text := lenient_text(fields, name):
            return _word(text)
    return _first_code(lenient_text(fields, b"reason_codes")) or decision.lower()


def _first_code(text: str | None) -> str:
    """Return the first of `reason_codes`: a JSON list, or words with commas between."""
    if text is None:
        return ""
    try:
        codes = read_json(_CODES, text)
    except msgspec.DecodeError:
        codes = text.split(",")
    return _word(next((code for code in codes if code.strip()), ""))


def _word(text: str) -> str:
    return truncate(text.strip().encode(errors="replace"), _LONGEST)
