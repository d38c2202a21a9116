"""Readers of the stored texts that judgements rest on. Optional inputs that cannot be read are absent.

Other services and operators can write these keys: every reader has an answer for any bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from brain.governor.case import CountsView, Efficiency
from brain.governor.grant_window import GrantWindow
from brain.governor.kill_score import KillStats
from brain.numbers import NotANumberError, parse_decimal

Text = bytes | None
Texts = Sequence[bytes | None]

_HOUR_MS: Final = 3_600_000
_BURST_MS: Final = 300_000
_BUDGET_MAX_AGE_SEC: Final = 60.0
_ALLOCATION_MAX_AGE_SEC: Final = 300.0
#: Above it a time is in milliseconds.
_LATEST_SEC: Final = 10**11
#: Stands for a sum of the day that cannot be read: above any limit.
_UNREADABLE_SUM: Final = Decimal(10) ** 14
_FLOAT = re.compile(rb"[+-]?[0-9]{1,20}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE = re.compile(rb"[0-9]{1,15}")
_ENFORCE = b"enforce"


class Enforced(NamedTuple):
    """An amount (USDT) that another service sets for a symbol; `age_sec` is None where there is none.

    `amount` is None unless it is enforced, fresh and readable.
    """

    amount: Decimal | None
    age_sec: float | None
    stale: bool


_NOT_ENFORCED = Enforced(None, None, False)


def read_stats(texts: Texts) -> tuple[KillStats | None, bool]:
    """Return the statistics of n, mean, var and time, and whether there are some that cannot be read."""
    n, mean, var, ts_ms = texts[:4]
    if n is None and mean is None and var is None and ts_ms is None:
        return None, False
    values = _number(mean), _number(var)
    if (
        n is None
        or ts_ms is None
        or not _WHOLE.fullmatch(n)
        or not _WHOLE.fullmatch(ts_ms)
        or int(n) < 1
        or values[0] is None
        or values[1] is None
        or not 0.0 <= values[0] <= 1.0
        or values[1] < 0.0
    ):
        return None, True
    return KillStats(int(n), values[0], values[1], int(ts_ms)), False


def read_sum(text: Text) -> Decimal | None:
    """Return a sum of the day, 0 where there is none; None where it cannot be read."""
    return Decimal(0) if text is None else _decimal(text)


def read_time(text: Text) -> Decimal | None:
    """Return a time in seconds; None where there is none, or none that can be read."""
    return None if text is None else _decimal(text)


def counts_of(
    window: GrantWindow, opened: Text, last_exec: Text, blocked_since: Text, now_ms: int
) -> CountsView:
    """Return the counts of a symbol.

    An unreadable time of execution counts as now, and stops opens.
    """
    sum_today, executed = read_sum(opened), None
    if last_exec is not None:
        seconds = _decimal(last_exec)
        executed = Decimal(now_ms) / 1000 if seconds is None else seconds
    return CountsView(
        granted_hour=window.after(now_ms - _HOUR_MS),
        granted_5min=window.after(now_ms - _BURST_MS),
        opened_today=_UNREADABLE_SUM if sum_today is None else sum_today,
        last_exec_sec=executed,
        exit_blocked_since_ms=(
            int(blocked_since) if blocked_since is not None and _WHOLE.fullmatch(blocked_since) else None
        ),
    )


def enforced_budget(texts: Texts, now_ms: int) -> Enforced:
    """Return the budget of mode, budget_usd, stress_factor and timestamp (P2.8)."""
    return _enforced(texts[0], texts[1], texts[3], now_ms, _BUDGET_MAX_AGE_SEC)


def enforced_target(texts: Texts, now_ms: int) -> Enforced:
    """Return the allocation of mode, target_usd, confidence and timestamp (P2.9)."""
    return _enforced(texts[0], texts[1], texts[3], now_ms, _ALLOCATION_MAX_AGE_SEC)


def read_efficiency(texts: Texts, now_ms: int) -> Efficiency | None:
    """Return the efficiency of efficiency_score, confidence and ts (P3.1)."""
    if texts[0] is None:
        return None
    score, confidence, age_sec = _number(texts[0]), _number(texts[1]), _age_sec(texts[2], now_ms)
    if score is None or confidence is None or age_sec is None:
        return None
    return Efficiency(score, confidence, age_sec)


def read_heat(text: Text) -> float | None:
    """Return the heat that another service writes; None where it cannot be read."""
    heat = _number(text)
    return heat if heat is not None and heat >= 0.0 else None


def _enforced(mode: Text, amount: Text, timestamp: Text, now_ms: int, max_age_sec: float) -> Enforced:
    if mode is None and amount is None and timestamp is None:
        return _NOT_ENFORCED
    age_sec = _age_sec(timestamp, now_ms)
    if age_sec is None or age_sec > max_age_sec:
        return Enforced(None, age_sec, True)
    if mode is None or mode.strip().lower() != _ENFORCE:
        return Enforced(None, age_sec, False)
    usd = None if amount is None else _decimal(amount)
    return Enforced(usd if usd is not None and usd >= 0 else None, age_sec, False)


def _age_sec(timestamp: Text, now_ms: int) -> float | None:
    """Return the age of a time in seconds or milliseconds; None where it cannot be read."""
    at = _number(timestamp)
    if at is None or at < 0:
        return None
    at_ms = at if at > _LATEST_SEC else at * 1000
    return max((now_ms - at_ms) / 1000, 0.0)


def _number(text: Text) -> float | None:
    if text is None or not _FLOAT.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _decimal(text: bytes) -> Decimal | None:
    try:
        return parse_decimal(text.decode("ascii"))
    except (NotANumberError, UnicodeDecodeError):
        return None
