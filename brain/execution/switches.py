"""Trading state and kill switches, as the keys of the Governor and of operators show them."""

from __future__ import annotations

from enum import StrEnum

from brain.execution import reasons
from brain.plans.permit import Kind

_ON = frozenset({"1", "true", "yes"})
#: Kinds that no kill switch stops: they reduce a position, or order nothing.
_REDUCING = frozenset({Kind.CLOSE, Kind.NONE})


class TradingState(StrEnum):
    """`governor:trading_state`. REDUCING stops opens and adds, HALTED every order."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


def read_trading_state(text: bytes | None) -> TradingState:
    """Return the state: a missing one is ACTIVE, an unreadable one HALTED."""
    if text is None:
        return TradingState.ACTIVE
    name = text.decode(errors="replace").strip().upper()
    return TradingState(name) if name in tuple(TradingState) else TradingState.HALTED


def kill_switch_is_on(
    kill: bytes | None, global_kill: bytes | None, mode: bytes | None, *, lockdown: bool
) -> bool:
    """Return True if any of the four names of the kill switch is on; a key of a wrong type (`!`) is on."""
    texts = [(text or b"").decode(errors="replace").strip().lower() for text in (kill, global_kill, mode)]
    return lockdown or "!" in texts or texts[0] == "1" or texts[1] in _ON or texts[2] == "lockdown"


def stopped_by(state: TradingState, *, kill_switch: bool, kind: Kind) -> str | None:
    """Return the reason why no order of this kind may be sent; None where one may."""
    if state is TradingState.HALTED:
        return reasons.TRADING_HALTED
    if kind not in _REDUCING and (kill_switch or state is TradingState.REDUCING):
        return reasons.KILL_SWITCH_ACTIVE
    return None
