"""Turns for single reads: within the weight, the longest unread first, none later than promised."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from exchange.read_pacer import WEIGHT_PER_READ, ReadPace, ReadPacer, pace_within
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@given(st.floats(1, 2400), st.floats(1, 300))
def test_a_pace_leaves_something_for_the_rest_and_never_stands_still(
    weight_per_min: float, stale_threshold_sec: float
) -> None:
    pace = pace_within(weight_per_min, stale_threshold_sec)
    assert pace.burst >= 1 and pace.per_sec > 0
    if weight_per_min >= 100:
        assert (pace.burst + 60 * pace.per_sec) * WEIGHT_PER_READ <= weight_per_min * 0.97


def test_the_default_budget_keeps_25_symbols() -> None:
    pace = pace_within(960, 10)
    assert pace.burst == 25
    assert pace.per_sec == pytest.approx(2.517, abs=0.001)
    assert pace.weight_per_min == 755


async def test_a_burst_is_let_through_and_then_the_steady_pace() -> None:
    pacer = ReadPacer(ReadPace(burst=3, per_sec=2.0))
    turns = []
    for _ in range(7):
        await pacer.turn(-math.inf)
        turns.append(trio.current_time())
    assert turns == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5, 2.0])
    await trio.sleep(100)
    for _ in range(4):
        await pacer.turn(-math.inf)
    assert trio.current_time() == pytest.approx(102.5)


async def test_reads_that_cost_twice_the_documented_weight_have_half_the_turns() -> None:
    weight = WEIGHT_PER_READ
    pacer = ReadPacer(ReadPace(burst=4, per_sec=2.0), lambda: weight)
    for _ in range(4):
        await pacer.turn(-math.inf)
    weight = 2 * WEIGHT_PER_READ
    for expected_sec in (1.0, 2.0, 3.0):
        await pacer.turn(-math.inf)
        assert trio.current_time() == pytest.approx(expected_sec)
    await trio.sleep(100)
    began_sec = trio.current_time()
    for _ in range(3):
        await pacer.turn(-math.inf)
    assert trio.current_time() - began_sec == pytest.approx(1.0), "a burst of two"


async def test_the_longest_unread_has_the_next_turn() -> None:
    pacer = ReadPacer(ReadPace(burst=1, per_sec=1.0))
    await pacer.turn(0)
    order: list[float] = []

    async def wait(read_last_sec: float) -> None:
        await pacer.turn(read_last_sec)
        order.append(read_last_sec)

    async with trio.open_nursery() as nursery:
        for read_last_sec in (5.0, 3.0, 4.0, -math.inf, 6.0):
            nursery.start_soon(wait, read_last_sec)
            await wait_all_tasks_blocked()
    assert order == [-math.inf, 3.0, 4.0, 5.0, 6.0]


async def test_a_cancelled_read_takes_no_turn_and_delays_no_other() -> None:
    pacer = ReadPacer(ReadPace(burst=1, per_sec=1.0))
    await pacer.turn(0)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            nursery.start_soon(pacer.turn, 2.0)
            await pacer.turn(1.0)
    assert trio.current_time() == pytest.approx(1.0)


@pytest.mark.parametrize("restless_sec", [0.0, 1.0, 5.0])
async def test_no_minute_takes_more_and_no_symbol_waits_longer_than_promised(restless_sec: float) -> None:
    """However eager 25 symbols are, and if all of them want to be read at once every few seconds."""
    pacer = ReadPacer(pace_within(960, 10))
    turns: list[list[float]] = [[] for _ in range(25)]

    async def keep_reading(number: int) -> None:
        last = -math.inf
        while True:
            await pacer.turn(last)
            last = trio.current_time()
            turns[number].append(last)
            await trio.sleep(restless_sec if number % 2 else 0.01)

    with trio.move_on_after(300):
        async with trio.open_nursery() as nursery:
            for number in range(25):
                nursery.start_soon(keep_reading, number)
    everything = sorted(moment for each in turns for moment in each)
    for number, moment in enumerate(everything):
        assert sum(moment <= other < moment + 60 for other in everything[number : number + 200]) <= 176
    for each in turns:
        assert each[0] < 0.1
        assert max(later - earlier for earlier, later in pairwise(each)) <= 25 / 2.517 + 0.5
