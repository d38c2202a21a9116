"""Rules for running the tests: programs only where a mark allows them, and timing tests alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.timing import lock


def test_a_fast_test_cannot_start_a_program() -> None:
    with pytest.raises(AssertionError, match="mark it"):
        subprocess.run([sys.executable, "-c", ""], check=True)


def test_a_timing_test_waits_for_those_that_run_and_later_ones_wait_for_it(tmp_path: Path) -> None:
    order: list[str] = []

    def run(name: str, *, alone: bool) -> threading.Thread:
        def test() -> None:
            with lock(tmp_path, alone=alone):
                order.append(name)

        thread = threading.Thread(target=test)
        thread.start()
        thread.join(0.1)
        return thread

    with lock(tmp_path, alone=False):
        beside = run("beside", alone=False)
        assert not beside.is_alive()
        waiting = [run("timing", alone=True), run("later", alone=False)]
        assert order == ["beside"]
    for thread in waiting:
        thread.join(5)
    assert order == ["beside", "timing", "later"]
