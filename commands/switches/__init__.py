"""`trading-state`, `hold`, `release`, `acknowledge`: what an operator sets by hand.

Each of the first three shows the present state and the change, asks, and writes only where the state is still
the shown one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import settings
from brain.execution.switches import TradingState
from brain.identifiers import Symbol
from commands.switches.changes import NotChangedError, Operator, Order
from commands.switches.seen_notices import Acknowledgement, mark_seen
from commands.switches.symbol_holds import release_symbol, set_hold
from commands.switches.trading_states import set_trading_state, show_trading_state
from store.errors import StoreError

_EXIT_FAILURE = 1


def trading_state(environ: Mapping[str, str], wanted: TradingState | None, order: Order) -> int:
    """Show the trading state, or set it. Exit code 1: nothing was changed. Raises SettingsError."""
    if wanted is None:
        return _ended(environ, show_trading_state)
    return _ended(environ, lambda operator: set_trading_state(operator, wanted, order))


def hold(environ: Mapping[str, str], symbol: Symbol, order: Order) -> int:
    """Hold a symbol until it is released. Exit code 1: nothing was changed. Raises SettingsError."""
    return _ended(environ, lambda operator: set_hold(operator, symbol, order))


def release(environ: Mapping[str, str], symbol: Symbol, order: Order, *, force: bool) -> int:
    """Release a symbol; a hold that no operator has set needs `force`.

    Exit code 1: nothing was changed. Raises SettingsError.
    """
    return _ended(environ, lambda operator: release_symbol(operator, symbol, order, force=force))


def acknowledge(environ: Mapping[str, str], seen: Acknowledgement) -> int:
    """Mark a notice as seen. Exit code 1: nothing was changed. Raises SettingsError."""
    return _ended(environ, lambda operator: mark_seen(operator, seen))


def _ended(environ: Mapping[str, str], command: Callable[[Operator], None]) -> int:
    own = settings.load(environ).settings
    try:
        command(Operator(own, environ))
    except StoreError as error:
        print(f"position-state-brain: Redis at {own.redis}: {error}", file=sys.stderr)
        return _EXIT_FAILURE
    except NotChangedError as error:
        print(f"position-state-brain: {error}", file=sys.stderr)
        return _EXIT_FAILURE
    return 0
