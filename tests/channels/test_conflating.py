"""The newest message of a key wins, and order between keys is the order of sending."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from channels import Conflating

Message = tuple[str, int]


def by_name() -> Conflating[Message]:
    return Conflating("test", key=lambda message: message[0])


async def test_the_newest_message_of_a_key_replaces_the_waiting_one() -> None:
    channel = by_name()
    channel.send(("a", 1))
    channel.send(("b", 1))
    channel.send(("a", 2))
    assert channel.depth == 2
    assert await channel.receive_all() == [("b", 1), ("a", 2)]
    assert channel.depth == 0


async def test_a_replacing_message_never_overtakes_what_was_sent_before_it() -> None:
    channel = by_name()
    channel.send(("proof", 1))
    channel.send(("position", 1))
    channel.send(("proof", 2))
    assert await channel.receive_all() == [("position", 1), ("proof", 2)]


async def test_the_chosen_rule_can_keep_the_waiting_message() -> None:
    channel: Conflating[Message] = Conflating("test", lambda message: message[0], newer=max)
    channel.send(("a", 5))
    channel.send(("a", 3))
    assert await channel.receive_all() == [("a", 5)]


async def test_the_receiver_waits_for_a_message(autojump_clock: MockClock) -> None:
    channel = by_name()
    received: list[Message] = []

    async def receive() -> None:
        received.extend(await channel.receive_all())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        assert received == []
        channel.send(("a", 1))
    assert received == [("a", 1)]


async def test_a_cancelled_receiver_takes_nothing_with_it(autojump_clock: MockClock) -> None:
    channel = by_name()
    with trio.move_on_after(1):
        await channel.receive_all()
    channel.send(("a", 1))
    assert await channel.receive_all() == [("a", 1)]


async def test_beyond_its_capacity_the_oldest_message_is_dropped_and_counted() -> None:
    channel: Conflating[Message] = Conflating("test", lambda message: message[0], capacity=2)
    for message in (("a", 1), ("b", 1), ("a", 2), ("c", 1)):
        channel.send(message)
    assert channel.dropped == 1
    assert await channel.receive_all() == [("a", 2), ("c", 1)]
    channel.send(("d", 1))
    assert channel.dropped == 1
