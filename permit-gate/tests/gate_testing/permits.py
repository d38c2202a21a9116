"""Permits as their issuers write them."""

from __future__ import annotations

import json
import time
from typing import Any

import redis

from permit_gate import sign

SYMBOL = "BTCUSDT"
KEY = b"a key that only the issuer and the gate know"


def governor_permit(**members: Any) -> bytes:
    return json.dumps({"granted": True, "symbol": SYMBOL, **members}).encode()


def p33_permit(plan_id: str, /, *, leave_out: tuple[str, ...] = (), **members: Any) -> bytes:
    """An allowed close of 0.028."""
    permit = {
        "plan_id": plan_id,
        "symbol": SYMBOL,
        "allow": True,
        "reason": "sanity_checks_passed",
        "kind": "close",
        "side": "LONG",
        "order_side": "SELL",
        "leg": "BOTH",
        "exchange_position_amt": 0.038,
        "created_at": time.time(),
        "issued_by": "build instance",
        "key_prefix": "quantum",
        "safe_close_qty": 0.028,
        "safe_qty": 0.028,
        **members,
    }
    return json.dumps({name: value for name, value in permit.items() if name not in leave_out}).encode()


def issue(store: redis.Redis, plan_id: str, governor: bytes | None = None, p33: bytes | None = None) -> None:
    """Write both permits of a plan."""
    store.set(f"quantum:permit:{plan_id}", governor or governor_permit())
    store.set(f"quantum:permit:p33:{plan_id}", p33 or p33_permit(plan_id))


def denied_permit(plan_id: str, reason: str, details: dict[str, Any] | None = None) -> bytes:
    return p33_permit(
        plan_id, allow=False, reason=reason, details=details or {}, leave_out=("safe_close_qty", "safe_qty")
    )


def signed(text: bytes, key: bytes = KEY) -> bytes:
    """The permit with its signature appended, as the issuer does."""
    return text[:-1] + b',"signature":"' + sign(text, key).encode() + b'"}'
