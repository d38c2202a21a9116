"""A full channel drops its oldest message, and says how many it dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from channels import DropOldest


async def test_the_oldest_message_goes_and_is_counted() -> None:
    channel: DropOldest[int] = DropOldest("test", capacity=2)
    for number in (1, 2, 3):
        channel.send(number)
    assert channel.dropped == 1
    assert await channel.receive_all() == [2, 3]


@given(capacity=st.integers(1, 5), sent=st.lists(st.integers(), max_size=20))
async def test_delivered_and_dropped_messages_are_all_that_was_sent(capacity: int, sent: list[int]) -> None:
    channel: DropOldest[int] = DropOldest("test", capacity)
    for number in sent:
        channel.send(number)
    delivered = await channel.receive_all() if channel.depth else []
    assert delivered == sent[-capacity:]
    assert channel.dropped + len(delivered) == len(sent)
