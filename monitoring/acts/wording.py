"""Sentences of operators' acts: the present state, and a change before it is made."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from brain.execution.switches import TradingState, kill_switch_is_on, read_trading_state
from brain.json_text import read_json
from brain.moment import iso_utc
from explanation.printable import printable
from page.words import duration
from store.execution_records import Switches
from store.keys import ExecutorKeys
from store.operator_records import Hold

OPERATOR = "operator:"
_EFFECTS = {
    TradingState.ACTIVE: "Every order that the other checks let pass is permitted.",
    TradingState.REDUCING: "Opens and adds are stopped, closes go on.",
    TradingState.HALTED: "No order is permitted and none is sent, closes included.",
}
_OWNERS = {
    OPERATOR: "by the operator {}",
    "exec:": "by the executor for its order {}",
    "p34:": "by the reconcile engine for the difference {}",
}
_WRONG_TYPE = b"!"


def state_lines(switches: Switches, disarmed: bytes | None, keys: ExecutorKeys) -> Iterator[str]:
    """Yield the trading state with its meaning, the kill switches that are on, and today's auto-disarm."""
    state = read_trading_state(switches.trading_state)
    yield f"The trading state is {state}. {_EFFECTS[state]}"
    stored = switches.trading_state
    if state is TradingState.HALTED and text_of(stored).strip().upper() != state:
        yield f"{keys.trading_state} holds {_shown(stored)}, which is no state and counts as HALTED."
    for key, text in _switches_on(switches, keys):
        yield f"A kill switch is on: {key} holds {text}. Opens and adds are stopped while it is."
    if disarmed is not None:
        yield f"Today's auto-disarm: {_disarm(disarmed)}."


def state_change(wanted: TradingState) -> str:
    """Return a sentence on a change of the trading state."""
    return f"With {wanted}: {_EFFECTS[wanted]}"


def hold_line(symbol: str, hold: Hold | None) -> str:
    """Return a sentence on a symbol's hold: its owner, its purpose and its end."""
    if hold is None:
        return f"{symbol} is not held."
    ends = "" if hold.ttl_ms is None else f", for {duration(hold.ttl_ms / 1000)} more"
    why = text_of(hold.reason) or ("" if hold.value == b"1" else text_of(hold.value))
    return f"{symbol} is held {_owner(text_of(hold.sig))}{ends}: {printable(why) or 'no reason is stored'}."


def hold_change(symbol: str, hold: Hold | None) -> Iterator[str]:
    """Yield sentences on a hold of an operator that would be set."""
    yield (
        f"With the hold no plan of {symbol} is permitted and none is executed, closes included, until it is "
        "released. A RECONCILE_CLOSE alone passes."
    )
    if hold is not None:
        yield f"The hold {_owner(text_of(hold.sig))} is lost: this one replaces it."


def is_operators(hold: Hold) -> bool:
    """Return True for a hold that an operator has set."""
    return text_of(hold.sig).startswith(OPERATOR)


def text_of(stored: bytes | None) -> str:
    """Return a stored value as text, empty where there is none."""
    return "" if stored is None else stored.decode(errors="backslashreplace")


def _switches_on(switches: Switches, keys: ExecutorKeys) -> Iterator[tuple[str, str]]:
    alone = kill_switch_is_on
    if alone(switches.kill, None, None, lockdown=False):
        yield keys.kill, _shown(switches.kill)
    if alone(None, switches.global_kill, None, lockdown=False):
        yield keys.global_kill, _shown(switches.global_kill)
    if alone(None, None, switches.mode, lockdown=False):
        yield keys.mode, _shown(switches.mode)
    if switches.lockdown:
        yield keys.lockdown, "a value"


def _shown(stored: bytes | None) -> str:
    return "a value of a wrong type" if stored == _WRONG_TYPE else f"'{printable(text_of(stored))}'"


def _disarm(stored: bytes) -> str:
    try:
        members = read_json(_OBJECT, stored)
        at = iso_utc(round(float(str(members["timestamp"])) * 1000))
        return f"{printable(str(members['reason']))} at {at}"
    except (ValueError, KeyError, OverflowError):
        return printable(text_of(stored))


_OBJECT = msgspec.json.Decoder(dict[str, object])


def _owner(sig: str) -> str:
    for begins, phrase in _OWNERS.items():
        if sig.startswith(begins):
            return phrase.format(printable(sig.removeprefix(begins)))
    return f"by {printable(sig)}" if sig else "by an owner that has left no name"
