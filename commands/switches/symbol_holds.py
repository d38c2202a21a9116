"""Holds of symbols by an operator: set and released."""

from __future__ import annotations

from brain.identifiers import Symbol
from commands.switches.changes import NotChangedError, Operator, Order
from commands.switches.events import hold_event
from commands.switches.wording import hold_change, hold_line, is_operators, text_of


def set_hold(operator: Operator, symbol: Symbol, order: Order) -> None:
    """Hold a symbol after a question; it has no expiry. Raises StoreError, NotChangedError."""
    view = operator.look(symbol)
    print(hold_line(symbol, view.hold))
    for line in hold_change(symbol, view.hold):
        print(line)
    event = hold_event(
        "HOLD_SET", symbol, reason=order.reason, sig=operator.sig, by=operator.sig, now_ms=view.now_ms
    )
    operator.change(
        order,
        f"Hold {symbol} ({order.reason})?",
        lambda store: store.set_hold(symbol, view.hold, order.reason, operator.sig, event),
    )
    print(f"{symbol} is held.")


def release_symbol(operator: Operator, symbol: Symbol, order: Order, *, force: bool) -> None:
    """Release a symbol after a question; another's hold only by `force`.

    Raises StoreError, NotChangedError.
    """
    view = operator.look(symbol)
    held = view.hold
    print(hold_line(symbol, held))
    if held is None:
        return
    if not is_operators(held):
        if not force:
            raise NotChangedError(
                f"no operator holds {symbol}: the hold's owner releases it; --force does so all the same"
            )
        print("Its owner may set it again, as long as it sees the cause.")
    sig = text_of(held.sig)
    event = hold_event(
        "HOLD_CLEARED", symbol, reason=order.reason, sig=sig, by=operator.sig, now_ms=view.now_ms
    )
    operator.change(
        order,
        f"Release {symbol} ({order.reason})?",
        lambda store: store.lift_hold(symbol, held, event),
    )
    print(f"{symbol} is released.")
