"""A process that was stopped and continued, or whose machine slept, finds none of its children stalled."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import Heartbeat
from tests.supervision.rig import Journal, child, running, supervisor, tree_of

STEPS = 20


async def plods(heartbeat: Heartbeat) -> None:
    """At work, a second between two beats, and some steps from waking to the next."""
    while True:
        await trio.sleep(1)
        for _ in range(STEPS):
            await trio.lowlevel.checkpoint()
        heartbeat.beat()


async def hangs_from_now_on(heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    await trio.sleep_forever()


async def advance(clock: MockClock, *steps_sec: float) -> None:
    for step_sec in steps_sec:
        clock.jump(step_sec)
        await wait_all_tasks_blocked()


async def test_a_child_at_work_is_not_blamed_for_the_time_in_which_nothing_ran(
    mock_clock: MockClock, journal: Journal
) -> None:
    async with running(tree_of(supervisor(child("a", plods, stall_limit_sec=5)), journal)):
        await wait_all_tasks_blocked()
        for _ in range(3):
            await advance(mock_clock, 1, 1, 60)
        assert journal.lines() == ["a started"]


@pytest.mark.parametrize("stopped_sec", [4.0, 4.6, 4.9, 5.0, 5.1, 5.9, 6.0])
async def test_a_stop_for_about_the_limit_is_no_stall(
    mock_clock: MockClock, journal: Journal, stopped_sec: float
) -> None:
    """Work that was under way when the process was stopped may end a moment after it goes on."""

    async def answers_soon(heartbeat: Heartbeat) -> None:
        while True:
            await trio.sleep(0.1)
            await trio.sleep(0.1)
            heartbeat.beat()

    async with running(tree_of(supervisor(child("a", answers_soon, stall_limit_sec=5)), journal)):
        await wait_all_tasks_blocked()
        mock_clock.jump(0.05)
        await wait_all_tasks_blocked()
        mock_clock.jump(stopped_sec)
        for _ in range(10):
            await advance(mock_clock, 0.04)
        assert journal.lines() == ["a started"]


async def test_one_that_hangs_is_found_a_limit_later(mock_clock: MockClock, journal: Journal) -> None:
    async with running(tree_of(supervisor(child("a", hangs_from_now_on, stall_limit_sec=5)), journal)):
        await wait_all_tasks_blocked()
        await advance(mock_clock, 60, 4)
        assert journal.lines() == ["a started"]
        await advance(mock_clock, 1, 0.5)
        assert journal.lines()[:2] == ["a started", "a stalled"]
