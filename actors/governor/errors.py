"""Count of granted plans whose order ended in an error, for the auto-disarm."""

from __future__ import annotations

from collections.abc import Mapping

from brain.identifiers import PlanId, lenient_text
from brain.ledger.result import ExecutedResult, RefusedResult

_WITHIN_MS = 300_000
_MOST = 10_000
#: Beginnings of the reasons of executors that are no errors: the plan was not to be sent as it was.
_NO_ERRORS = (
    "below_min_qty",
    "min_notional_check_failed",
    "source_not_allowed",
    "plan_expired",
    "reconcile_hold",
    "symbol_not_in_allowlist",
    "position_too_large",
    "nothing_to_execute",
    "duplicate_plan",
    "recovering",
    "trading_halted",
    "kill_switch_active",
    "dry_run",
    "state_contended",
)


class ErrorCount:
    """Plans of the last 300 s whose result names an error. It outlives the actor, not the process."""

    def __init__(self) -> None:
        self._at_ms: dict[PlanId, int] = {}

    def result(
        self, result: ExecutedResult | RefusedResult, fields: Mapping[bytes, bytes], now_ms: int
    ) -> None:
        """Count the result of a granted plan, once a plan, if it names an error."""
        if isinstance(result, RefusedResult) and is_error(result, fields):
            self._at_ms.setdefault(result.plan_id, now_ms)
            if len(self._at_ms) > _MOST:
                del self._at_ms[next(iter(self._at_ms))]

    def within(self, now_ms: int) -> int:
        """Return the number of such plans in the last 300 s."""
        for plan_id, at_ms in list(self._at_ms.items()):
            if at_ms > now_ms - _WITHIN_MS:
                break
            del self._at_ms[plan_id]
        return len(self._at_ms)


def is_error(result: RefusedResult, fields: Mapping[bytes, bytes]) -> bool:
    """Return True if a plan was not executed because of an error of the exchange or on the way there."""
    if result.unknown is not None:
        return True
    error = lenient_text(fields, b"error") or ""
    return bool(error) and not result.had_no_permit and not error.startswith(_NO_ERRORS)
