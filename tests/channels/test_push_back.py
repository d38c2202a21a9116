"""A full channel makes its sender wait."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from channels import PushBack


async def test_a_sender_waits_while_the_channel_is_full(autojump_clock: MockClock) -> None:
    channel: PushBack[int] = PushBack("test", capacity=1)
    await channel.send(1)
    with trio.move_on_after(5) as waited:
        await channel.send(2)
    assert waited.cancelled_caught
    assert channel.depth == 1
    assert await channel.receive() == 1
    await channel.send(3)
    assert await channel.receive() == 3
