"""A value stays for those who come later."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from channels import LatestValue


async def test_a_newcomer_sees_the_latest_value_at_once() -> None:
    channel: LatestValue[int] = LatestValue("test")
    assert channel.depth == 0
    channel.send(1)
    channel.send(2)
    assert await channel.get() == 2
    assert await channel.get() == 2
    assert channel.depth == 1


async def test_every_reader_that_waits_is_woken(autojump_clock: MockClock) -> None:
    channel: LatestValue[int] = LatestValue("test")
    seen: list[int] = []

    async def read() -> None:
        seen.append(await channel.get())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(read)
        await wait_all_tasks_blocked()
        channel.send(7)
    assert seen == [7, 7, 7]


async def test_changed_waits_for_a_value_that_is_sent_later(autojump_clock: MockClock) -> None:
    channel: LatestValue[int] = LatestValue("test")
    channel.send(1)
    with trio.move_on_after(5) as waited:
        await channel.changed()
    assert waited.cancelled_caught
