from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from commands.demo.children import Child

pytestmark = pytest.mark.process


async def _ended(folder: Path, program: str) -> str:
    log_path = folder / "child.log"
    log_path.touch()
    with log_path.open("ab") as log:
        process = await trio.lowlevel.open_process([sys.executable, "-c", program], stdout=log, stderr=log)
    with trio.fail_after(30):
        return str(await Child("the daemon", process, log_path).ended())


async def test_a_child_that_ends_is_shown_with_the_end_of_its_log_without_tracebacks(tmp_path: Path) -> None:
    program = "for n in range(9): print(n, flush=True)\nraise OSError('Address already in use')"
    assert await _ended(tmp_path, program) == (
        "the daemon ended with 1\n  5\n  6\n  7\n  8\n  OSError: Address already in use"
    )


async def test_a_child_that_is_killed_is_one_sentence(tmp_path: Path) -> None:
    program = "import os; print('still well', flush=True); os.kill(os.getpid(), 9)"
    assert await _ended(tmp_path, program) == "the daemon was killed by SIGKILL"


async def test_a_child_that_is_stopped_has_not_ended_by_itself(tmp_path: Path) -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", "import time; time.sleep(60)"], stdin=subprocess.DEVNULL
    )
    child = Child("the daemon", process, tmp_path / "child.log")
    ended = False
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal ended
            await child.ended()
            ended = True

        nursery.start_soon(watch)
        assert await child.stop() == -15
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not ended
