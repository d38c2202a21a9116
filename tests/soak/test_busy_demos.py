from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from tests.integration.waiting import until
from tests.soak.busy_demos import fault

ROOT = Path(__file__).resolve().parents[2]
OK, BUSY = "OK: every plan was answered as expected\n", "INCONCLUSIVE: this machine was too busy: 2 of 9\n"
NO_START = "demo: inconclusive: this machine was too busy: the daemon did not answer\n"
_KILLED = """
import os, signal
from tests.soak.busy_demos import busy_loops
with busy_loops(2) as loops:
    print(*loops, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("code", "output"), [(0, OK), (75, BUSY), (75, NO_START)])
def test_a_demo_that_judges_or_says_that_it_could_not_is_not_at_fault(code: int, output: str) -> None:
    assert fault(code, output) is None


@pytest.mark.parametrize(
    ("code", "output", "named"),
    [
        (1, "FAILED: two decisions\n", "exit code 1"),
        (-9, "", "exit code -9"),
        (0, f"Traceback (most recent call last):\n{OK}", "traceback"),
        (75, f"Traceback (most recent call last):\n{BUSY}", "traceback"),
        (75, OK, "does not say 'this machine was too busy'"),
        (0, BUSY, "does not say 'OK: "),
    ],
)
def test_every_other_end_of_a_demo_is_a_fault(code: int, output: str, named: str) -> None:
    assert named in str(fault(code, output))


@pytest.mark.process
async def test_busy_loops_end_with_the_process_that_started_them() -> None:
    command = [sys.executable, "-c", _KILLED]
    done = await trio.run_process(command, cwd=ROOT, capture_stdout=True, check=False)
    loops = [Path(f"/proc/{pid}/fd/0") for pid in done.stdout.decode().split()]
    assert len(loops) == 2
    await until(lambda: not any(each.exists() for each in loops), "both end", within_sec=10)
