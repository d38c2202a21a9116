"""Sentences on switches and holds, from values as they are stored."""

from __future__ import annotations

import pytest

from brain.identifiers import Symbol
from monitoring.acts.wording import hold_line, is_operators, state_lines
from store.execution_records import Switches
from store.keys import ExecutorKeys, Keys
from store.operator_records import Hold

KEYS = ExecutorKeys(Keys("quantum"))
NOTHING = Switches(None, None, None, None, False)
BTC = Symbol("BTCUSDT")


def lines(switches: Switches, disarmed: bytes | None = None) -> str:
    return "\n".join(state_lines(switches, disarmed, KEYS))


def test_a_missing_state_is_active() -> None:
    shown = lines(NOTHING)
    assert shown.startswith("The trading state is ACTIVE.")
    assert "kill switch" not in shown


@pytest.mark.parametrize(
    ("stored", "shown"),
    [(b"ACTIV", "'ACTIV'"), (b"!", "a value of a wrong type"), (b"\x1b[2J", r"'\x1b[2J'")],
)
def test_an_unreadable_state_counts_as_halted_and_is_shown_as_it_is_stored(stored: bytes, shown: str) -> None:
    text = lines(NOTHING._replace(trading_state=stored))
    assert text.startswith("The trading state is HALTED.")
    assert f"quantum:governor:trading_state holds {shown}, which is no state" in text


def test_a_state_in_small_letters_is_readable() -> None:
    assert "no state" not in lines(NOTHING._replace(trading_state=b"halted"))


@pytest.mark.parametrize(
    ("switches", "key"),
    [
        (NOTHING._replace(kill=b"1"), "quantum:kill"),
        (NOTHING._replace(global_kill=b"true"), "quantum:global:kill_switch"),
        (NOTHING._replace(mode=b"LOCKDOWN"), "quantum:system:mode"),
        (NOTHING._replace(lockdown=True), "quantum:lockdown"),
        (NOTHING._replace(kill=b"!"), "quantum:kill"),
    ],
)
def test_each_kill_switch_that_is_on_is_named(switches: Switches, key: str) -> None:
    assert f"A kill switch is on: {key} holds " in lines(switches)
    assert lines(switches).count("A kill switch is on") == 1


def test_the_auto_disarm_is_shown_with_reason_and_time() -> None:
    stored = b'{"reason":"daily_loss","context":{},"timestamp":1760000000.5}'
    assert "Today's auto-disarm: daily_loss at 2025-10-09T08:53:20.500Z." in lines(NOTHING, stored)


@pytest.mark.parametrize(
    "stored", [b"!", b"{}", b'{"reason":1}', b'{"reason":"x","timestamp":1e999}', b"\xff"]
)
def test_an_unreadable_auto_disarm_is_shown_as_it_is(stored: bytes) -> None:
    assert "Today's auto-disarm: " in lines(NOTHING, stored)


@pytest.mark.parametrize(
    ("hold", "shown"),
    [
        (Hold(b"1", b"a test", b"operator:ann", None), "is held by the operator ann: a test."),
        (
            Hold(b"1", b"execution_unknown:p-1", b"exec:p33-0a", 280_000),
            "is held by the executor for its order p33-0a, for 4 min 40 s more: execution_unknown:p-1.",
        ),
        (Hold(b"drift", None, None, 1000), "by an owner that has left no name, for 1.0 s more: drift."),
        (Hold(b"1", None, b"p34:77", None), "by the reconcile engine for the difference 77: no reason"),
        (Hold(b"!", b"!", b"!", None), "is held by !"),
    ],
)
def test_a_hold_is_shown_with_owner_end_and_reason(hold: Hold, shown: str) -> None:
    assert shown in hold_line(BTC, hold)


def test_an_operators_hold_is_known_by_its_owner_alone() -> None:
    assert is_operators(Hold(b"1", None, b"operator:ann", None))
    assert not is_operators(Hold(b"1", b"operator:ann", b"exec:1", None))
    assert not is_operators(Hold(b"1", None, None, None))
