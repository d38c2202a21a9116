"""The limit on connections of all streams together, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from exchange.connection_limit import WINDOW_SEC, ConnectionLimit, most_connections
from exchange.protocol import Priority
from tests.virtual_time import virtual_time

pytestmark = virtual_time

FIVE_MINUTES_SEC = 300.0


def most_within(times_sec: list[float], window_sec: float) -> int:
    """Return the most of these moments in any half-open window of so many seconds."""
    return max(sum(first <= at_sec < first + window_sec for at_sec in times_sec) for first in times_sec)


async def connect_for(
    limit: ConnectionLimit, priority: Priority, seconds: float, pause_sec: float
) -> list[float]:
    times_sec: list[float] = []
    with trio.move_on_after(seconds):
        while True:
            await limit.turn(priority)
            times_sec.append(trio.current_time())
            await trio.sleep(pause_sec)
    return times_sec


@pytest.mark.parametrize("pause_sec", [0.0, 0.3, 4.9, 5.1, 7.0])
async def test_never_more_than_sixty_connections_are_made_in_any_five_minutes(pause_sec: float) -> None:
    times_sec = await connect_for(ConnectionLimit(), Priority.VITAL, 1800, pause_sec)
    assert most_within(times_sec, WINDOW_SEC - 1e-6) <= most_connections()[Priority.VITAL] == 12
    assert most_within(times_sec, FIVE_MINUTES_SEC - 1e-6) <= 60
    gaps = [later - earlier for earlier, later in pairwise(times_sec)]
    assert max(gaps) <= 60


@pytest.mark.parametrize("share", [10, 15, 300])
async def test_a_share_bounds_the_connections_of_any_five_minutes(share: int) -> None:
    limit = ConnectionLimit(share)
    began_sec = trio.current_time()
    # One for each stream, at once.
    await limit.turn(Priority.PERIODIC)
    await limit.turn(Priority.VITAL)
    assert trio.current_time() == began_sec
    times_sec = [began_sec, began_sec, *await connect_for(limit, Priority.VITAL, 1800, 0.1)]
    assert share - 5 < most_within(times_sec, FIVE_MINUTES_SEC - 1e-6) <= share


async def test_connections_below_the_limit_wait_for_nothing() -> None:
    limit = ConnectionLimit()
    began_sec = trio.current_time()
    for _ in range(12):
        await limit.turn(Priority.VITAL)
    assert trio.current_time() == began_sec


async def test_mark_prices_leave_connections_for_the_private_stream() -> None:
    limit = ConnectionLimit()
    times_sec: dict[Priority, list[float]] = {}

    async def storm(priority: Priority, seconds: float) -> None:
        times_sec[priority] = await connect_for(limit, priority, seconds, 0.2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(storm, Priority.PERIODIC, 900)
        await trio.sleep(30)
        began_sec = trio.current_time()
        nursery.start_soon(storm, Priority.VITAL, 800)
    private = times_sec[Priority.VITAL]
    assert private[0] == began_sec, "not made to wait by what mark prices used"
    both = sorted(private + times_sec[Priority.PERIODIC])
    assert most_within(both, FIVE_MINUTES_SEC - 1e-6) <= 60
