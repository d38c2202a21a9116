from __future__ import annotations

import pytest

from brain.execution.switches import TradingState, kill_switch_is_on, read_trading_state, stopped_by
from brain.plans.permit import Kind


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (None, "ACTIVE"), (b"ACTIVE", "ACTIVE"), (b"REDUCING", "REDUCING"), (b" reducing\n", "REDUCING"),
        (b"HALTED", "HALTED"), (b"", "HALTED"), (b"ON", "HALTED"), (b"!", "HALTED"), (b"\xff", "HALTED"),
    ],
)  # fmt: skip
def test_a_missing_state_is_active_and_an_unreadable_one_halted(text: bytes | None, state: str) -> None:
    assert read_trading_state(text) is TradingState(state)


@pytest.mark.parametrize(
    ("kill", "global_kill", "mode", "lockdown", "on"),
    [
        (None, None, None, False, False),
        (b"0", b"false", b"NORMAL", False, False),
        (b"1", None, None, False, True),
        (None, b"true", None, False, True),
        (None, b"1", None, False, True),
        (None, b"YES", None, False, True),
        (None, None, b"LOCKDOWN", False, True),
        (None, None, None, True, True),
        (b"!", None, None, False, True),
        (None, b"!", None, False, True),
        (None, None, b"!", False, True),
    ],
)
def test_any_name_of_the_kill_switch_is_the_kill_switch(
    kill: bytes | None, global_kill: bytes | None, mode: bytes | None, lockdown: bool, on: bool
) -> None:
    assert kill_switch_is_on(kill, global_kill, mode, lockdown=lockdown) is on


@pytest.mark.parametrize("kind", list(Kind))
def test_closes_are_stopped_by_a_halt_alone(kind: Kind) -> None:
    opens = kind in (Kind.OPEN, Kind.ADD)
    stopped = "kill_switch_active" if opens else None
    assert stopped_by(TradingState.ACTIVE, kill_switch=False, kind=kind) is None
    assert stopped_by(TradingState.ACTIVE, kill_switch=True, kind=kind) == stopped
    assert stopped_by(TradingState.REDUCING, kill_switch=False, kind=kind) == stopped
    assert stopped_by(TradingState.HALTED, kill_switch=False, kind=kind) == "trading_halted"
