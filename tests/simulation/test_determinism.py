from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import trio
from trio._core import _io_epoll, _run

from tests.simulation import deterministic_trio
from tests.simulation.scene import Roles

_ROOT = Path(__file__).resolve().parents[2]
#: Neither bridge nor counts nor a universe of the service's own.
_WITHOUT_CHAIN: Final = ("off", False, False)


# Those of 43 have two instances, an account in hedge mode, failovers, clocks apart, ids ahead, rights taken.
# Each role is in one of the three, and its played stand-in in another.
@pytest.mark.parametrize(
    ("seed", "roles"),
    [
        ("8", Roles(False, False, False, *_WITHOUT_CHAIN)),
        ("43", Roles(False, True, False, *_WITHOUT_CHAIN)),
        ("43", Roles(True, True, True, "on", True, True)),
    ],
)
def test_two_runs_of_one_seed_leave_the_same_trace_on_two_hash_seeds(seed: str, roles: Roles) -> None:
    """Two processes at once, so that neither finds what the other has warmed up."""
    script = (
        "from tests.simulation.scene import Roles; from tests.simulation.simulation import simulate; "
        f"print(simulate('{seed}', 1, roles={roles!r}).digest)"
    )
    running = [
        subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", script],
            cwd=_ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "4242")
    ]
    first, second = (process.communicate()[0].strip() for process in running)
    assert len(first) == 64
    assert first == second


def test_trio_still_has_what_its_scheduling_is_made_deterministic_by() -> None:
    assert isinstance(_run._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    assert hasattr(_run._r, "shuffle")
    assert hasattr(_io_epoll.EpollIOManager, "get_events")


async def _order_of_ten_tasks() -> list[int]:
    order: list[int] = []

    async def note(number: int) -> None:
        for _ in range(3):
            await trio.sleep(1)
            order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(note, number)
    assert trio.current_time() == 3
    return order


def test_the_order_of_tasks_is_the_seed_s() -> None:
    one, again, other = (deterministic_trio.run(_order_of_ten_tasks, seed) for seed in ("1", "1", "2"))
    assert one == again
    assert one != other


def test_a_clock_that_no_task_waits_for_does_not_stand_still_for_ever() -> None:
    clock = deterministic_trio.JumpingClock()
    with pytest.raises(RuntimeError, match="none for the clock"):  # noqa: PT012 - it may take some patience
        for _ in range(1000):
            clock.deadline_to_sleep_time(math.inf)
    assert clock.deadline_to_sleep_time(5.0) == 0
    assert clock.current_time() == 5
