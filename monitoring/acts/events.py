"""Events that an operator's changes leave, as flat names and values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.execution.switches import TradingState
from brain.identifiers import Symbol
from store.notice_records import SeenMark


def state_event(
    before: TradingState, wanted: TradingState, *, reason: str, by: str, now_ms: int
) -> tuple[str, ...]:
    """Return the event of a trading state that an operator has set, for `governor.events`."""
    context = {"by": by, "from": str(before), "to": str(wanted)}
    return (
        *("event", "REARMED" if wanted is TradingState.ACTIVE else "TRADING_STATE"),
        *("reason", reason),
        *("context", msgspec.json.encode(context).decode()),
        *("timestamp", f"{now_ms / 1000:.3f}"),
        *("action_taken", f"trading_state={wanted}"),
    )


def seen_event(kind: str, subject: str, mark: SeenMark, *, now_ms: int) -> tuple[str, ...]:
    """Return the event of a notice that a person has seen, for `p33.events`."""
    return (
        *("event", "NOTICE_SEEN"),
        *("kind", kind),
        *("subject", subject),
        *("by", mark.by),
        *("until_ms", str(mark.until_ms)),
        *("timestamp", f"{now_ms / 1000:.3f}"),
    )


def hold_event(event: str, symbol: Symbol, *, reason: str, sig: str, by: str, now_ms: int) -> tuple[str, ...]:
    """Return an event of a hold, for `reconcile.events`; `sig` is the hold's."""
    return (
        *("event", event),
        *("symbol", symbol),
        *("ts", str(now_ms // 1000)),
        *("reason", reason),
        *("hold_sig", sig),
        *("by", by),
    )


def act_event(
    act: str, arguments: Mapping[str, str], *, by: str, outcome: str, address: str, now_ms: int
) -> tuple[str, ...]:
    """Return the event of an act, for `p33.events`; `address` is empty for the terminal."""
    return (
        *("event", "OPERATOR_ACT"),
        *("act", act),
        *("by", by),
        *("arguments", msgspec.json.encode(arguments).decode()),
        *("outcome", outcome),
        *("address", address),
        *("timestamp", f"{now_ms / 1000:.3f}"),
    )
