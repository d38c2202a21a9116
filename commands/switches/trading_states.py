"""The trading state: shown, and set by an operator."""

from __future__ import annotations

from brain.execution.switches import TradingState, read_trading_state
from commands.switches.changes import Operator, Order
from commands.switches.events import state_event
from commands.switches.wording import state_change, state_lines, text_of
from store.operator_records import OperatorView


def show_trading_state(operator: Operator) -> None:
    """Print the trading state, the kill switches and today's auto-disarm. Raises StoreError."""
    _print(operator, operator.look())


def set_trading_state(operator: Operator, wanted: TradingState, order: Order) -> None:
    """Set the trading state after a question. Raises StoreError, NotChangedError."""
    view = operator.look()
    _print(operator, view)
    stored = view.switches.trading_state
    before = read_trading_state(stored)
    if before is wanted and text_of(stored) in (wanted, ""):
        return
    print(state_change(wanted))
    event = state_event(before, wanted, reason=order.reason, by=operator.sig, now_ms=view.now_ms)
    operator.change(
        order,
        f"Set the trading state to {wanted} ({order.reason})?",
        lambda store: store.set_trading_state(stored, wanted, event),
    )
    print(f"The trading state is {wanted}.")


def _print(operator: Operator, view: OperatorView) -> None:
    for line in state_lines(view.switches, view.disarmed, operator.keys):
        print(line)
    own = operator.settings
    if own.governor == "off" and own.executing == "off":
        print("By these settings neither Governor nor executor runs here: other services alone obey it.")
