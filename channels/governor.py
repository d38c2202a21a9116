"""State of the Governor, for those who show it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.execution.switches import TradingState
from brain.governor.case import EquityView
from brain.identifiers import Symbol


class SymbolCounts(msgspec.Struct, frozen=True):
    """Grants of a symbol in 3600 and in 300 s, and today's opened notional (USDT)."""

    symbol: Symbol
    granted_hour: int
    granted_5min: int
    opened_today: Decimal


class GovernorNow(msgspec.Struct, frozen=True, kw_only=True):
    """Switches, account and counts as the Governor last saw them; None for what is not known.

    `state_readable`: the stored trading state is missing or one of the three. `disarmed`: the reason of
    today's auto-disarm, empty for none. `heat`: notional of all positions by equity. `symbols`: those with a
    position or a live grant of an open. Notionals are in USDT. `z_exit` is None where no exit is judged by
    its score. `counts`: the symbols that have any. `unreadable`: own keys without which nothing is opened.
    """

    trading_state: TradingState
    state_readable: bool
    kill_switch: bool
    disarmed: str
    equity: EquityView | None
    heat: float | None
    drawdown: float | None
    symbols: int | None
    positions_notional: Decimal | None
    reserved_notional: Decimal
    z_entry: float | None
    z_exit: float | None
    counts: tuple[SymbolCounts, ...] = ()
    unreadable: tuple[str, ...] = ()
