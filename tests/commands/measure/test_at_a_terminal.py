"""The command as a person runs it: questions at a terminal, and Ctrl-C in the middle of an order."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.commands.measure.rig import Rig
from tests.integration.waiting import until

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import os, signal, sys
# A shell that starts the tests in the background has Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from commands.check.measure import MeasureOptions, measure
from commands.console.questions import ask_at_terminal
from tests.commands.measure.rig import QUICK
sys.exit(measure(os.environ, MeasureOptions(order_symbol="BTCUSDT"), ask=ask_at_terminal(), pace=QUICK))
"""


class Terminal:
    """A process with a pseudo-terminal for its input."""

    def __init__(self, process: subprocess.Popen[str], keyboard: int) -> None:
        self.process = process
        self._keyboard = keyboard

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._keyboard, f"{text}\n".encode())

    async def ended(self) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        out, err = await trio.to_thread.run_sync(self.process.communicate, None, 30)
        return self.process.returncode, out, err


@contextmanager
def terminal(measured: Rig) -> Iterator[Terminal]:
    keyboard, inside = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **measured.environ},
        stdin=inside,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Terminal(process, keyboard)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(keyboard)
        os.close(inside)


async def test_the_answers_typed_at_a_terminal_decide(measured: Rig) -> None:
    with terminal(measured) as used:
        used.type("n")
        used.type("y")
        code, out, err = await used.ended()
    assert code == 0, err
    assert not measured.orders()
    assert len(measured.deletions()) == 1
    assert "Send a market order BUY 0.001 BTCUSDT" in err
    assert "Delete the account's listen key" in err
    assert out.startswith("Measured at the simulator")


async def test_ctrl_c_in_the_middle_of_an_order_closes_it_and_prints_the_table(measured: Rig) -> None:
    measured.exchange.faults.drop_event_types = ["ACCOUNT_UPDATE"]  # which is waited for
    measured.exchange.faults.drop_event_rate = 1.0
    with terminal(measured) as used:
        used.type("y")
        used.type("n")
        await until(measured.exchange.open_positions, "the position", 30)
        used.process.send_signal(signal.SIGINT)
        code, out, err = await used.ended()
    assert code == 130, err
    assert not measured.exchange.open_positions()
    assert "| position in BTCUSDT afterwards | none |" in out
    assert "Traceback" not in err


async def test_ctrl_c_at_a_question_ends_without_a_request_that_changes(measured: Rig) -> None:
    with terminal(measured) as used:
        await until(
            lambda: measured.exchange.requests.records(path="/fapi/v1/positionSide/dual"), "the plan", 30
        )
        used.process.send_signal(signal.SIGINT)
        code, _, _ = await used.ended()
    assert code != 0
    assert {each.method for each in measured.exchange.requests.records()} == {"GET"}
