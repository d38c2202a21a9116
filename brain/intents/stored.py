"""Readers of the stored texts that answers rest on. Other services and operators can write these keys."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from brain.execution.switches import kill_switch_is_on
from brain.numbers import NotANumberError, parse_decimal

_WHOLE: Final = re.compile(rb"[0-9]{1,15}")
_EQUITY_MAX_AGE_SEC: Final = 60


def is_lockdown(mode: bytes | None) -> bool:
    """Return True if `system:mode` is LOCKDOWN, or of a wrong type (`!`)."""
    return kill_switch_is_on(None, None, mode, lockdown=False)


def read_last_close(text: bytes | None) -> tuple[int | None, bool]:
    """Return the time of the last close (epoch ms), and whether there is one that cannot be read."""
    if text is None:
        return None, False
    return (int(text), False) if _WHOLE.fullmatch(text) else (None, True)


def fresh_equity(amount: bytes | None, at_sec: bytes | None, now_ms: int) -> Decimal | None:
    """Return an equity above 0 that is at most 60 s old by its own time; None for any other."""
    try:
        equity, at = (parse_decimal((text or b"").decode("ascii")) for text in (amount, at_sec))
    except (NotANumberError, UnicodeDecodeError):
        return None
    return equity if equity > 0 and Decimal(now_ms).scaleb(-3) - at <= _EQUITY_MAX_AGE_SEC else None
