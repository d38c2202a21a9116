"""Holds of symbols and the trading state."""

from __future__ import annotations

from collections.abc import Sequence

from brain.execution.switches import TradingState, read_trading_state
from brain.identifiers import Symbol
from monitoring.acts.act import Act, ForceNeededError
from monitoring.acts.events import hold_event, state_event
from monitoring.acts.wording import (
    hold_change,
    hold_line,
    is_operators,
    state_change,
    state_lines,
    text_of,
)
from store.keys import ExecutorKeys
from store.operator_protocol import OperatorStore
from store.operator_records import Hold
from store.operator_values import hold_texts


async def hold(store: OperatorStore, symbol: Symbol, reason: str, by: str, *, force: bool) -> Act:
    """Prepare to hold a symbol, without an expiry; in the place of another's hold only by `force`.

    Raises StoreError, ForceNeededError.
    """
    view = await store.operator_view(symbol)
    present = (hold_line(symbol, view.hold),)
    if view.hold is not None and not is_operators(view.hold) and not force:
        raise ForceNeededError(f"no operator holds {symbol}: the hold's owner would lose it", present)
    if view.hold == Hold(b"1", reason.encode(), by.encode(), None):
        return Act(present=present)
    event = hold_event("HOLD_SET", symbol, reason=reason, sig=by, by=by, now_ms=view.now_ms)

    async def write(store: OperatorStore) -> str | None:
        done = await store.set_hold(symbol, view.hold, reason, by, event)
        return f"{symbol} is held." if done else None

    return Act(
        present=present,
        change=tuple(hold_change(symbol, view.hold)),
        question=f"Hold {symbol} ({reason})?",
        seen=repr(hold_texts(view.hold)),
        write=write,
    )


async def release(store: OperatorStore, symbol: Symbol, reason: str, by: str, *, force: bool) -> Act:
    """Prepare to release a symbol; another's hold only by `force`. Raises StoreError, ForceNeededError."""
    view = await store.operator_view(symbol)
    held = view.hold
    present = (hold_line(symbol, held),)
    if held is None:
        return Act(present=present)
    if not is_operators(held) and not force:
        raise ForceNeededError(f"no operator holds {symbol}: the hold's owner releases it", present)
    sig = text_of(held.sig)
    event = hold_event("HOLD_CLEARED", symbol, reason=reason, sig=sig, by=by, now_ms=view.now_ms)

    async def write(store: OperatorStore) -> str | None:
        return f"{symbol} is released." if await store.lift_hold(symbol, held, event) else None

    return Act(
        present=present,
        change=() if is_operators(held) else ("Its owner may set it again, as long as it sees the cause.",),
        question=f"Release {symbol} ({reason})?",
        seen=repr(hold_texts(held)),
        write=write,
    )


async def set_trading_state(
    store: OperatorStore,
    wanted: TradingState,
    reason: str,
    by: str,
    keys: ExecutorKeys,
    notes: Sequence[str] = (),
) -> Act:
    """Prepare to set the trading state; `notes` follow what stands now. Raises StoreError."""
    view = await store.operator_view(None)
    present = (*state_lines(view.switches, view.disarmed, keys), *notes)
    stored = view.switches.trading_state
    before = read_trading_state(stored)
    if before is wanted and text_of(stored) in (wanted, ""):
        return Act(present=present)
    event = state_event(before, wanted, reason=reason, by=by, now_ms=view.now_ms)

    async def write(store: OperatorStore) -> str | None:
        done = await store.set_trading_state(stored, wanted, event)
        return f"The trading state is {wanted}." if done else None

    return Act(
        present=present,
        change=(state_change(wanted),),
        question=f"Set the trading state to {wanted} ({reason})?",
        seen=repr(stored),
        write=write,
    )
