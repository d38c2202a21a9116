from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from brain.moment import Moment
from clock import TrioClock
from exchange.errors import ExchangeUnavailable
from exchange.protocol import PositionsRead, Priority
from exchange.shared_read import SharedRead
from tests.virtual_time import virtual_time

pytestmark = virtual_time

ANSWER_SEC = 0.3


class SlowExchange:
    """Exchange that answers after 0.3 s, or fails while `failing`."""

    def __init__(self) -> None:
        self.clock = TrioClock(1_700_000_000_000)
        self.asked: list[float] = []
        self.failing = False

    async def positions(self, *, priority: Priority) -> PositionsRead:
        sent = self.clock.now()
        self.asked.append(sent.monotonic_sec)
        await trio.sleep(ANSWER_SEC)
        if self.failing:
            raise ExchangeUnavailable("down")
        return PositionsRead((), sent, self.clock.now())


@pytest.fixture
def exchange() -> SlowExchange:
    return SlowExchange()


@pytest.fixture
def shared(exchange: SlowExchange) -> SharedRead:
    return SharedRead(exchange.positions, exchange.clock)


async def test_callers_with_the_same_moment_share_one_request_however_far_apart(
    exchange: SlowExchange, shared: SharedRead
) -> None:
    tick = exchange.clock.now()
    reads: list[PositionsRead] = []

    async def ask(after_sec: float) -> None:
        await trio.sleep(after_sec)
        reads.append(await shared.read(tick))

    async with trio.open_nursery() as nursery:
        for after_sec in (0.0, 0.1, 0.29, 5.0):
            nursery.start_soon(ask, after_sec)
    assert len(exchange.asked) == 1
    assert reads == [reads[0]] * 4


async def test_a_caller_is_never_given_a_read_sent_before_it_asked(
    exchange: SlowExchange, shared: SharedRead
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.read)
        await trio.sleep(0.1)
        asked = exchange.clock.now()
        read = await shared.read()
    assert read.sent >= asked
    assert exchange.clock.now().monotonic_sec == pytest.approx(asked.monotonic_sec + ANSWER_SEC)


async def test_at_most_two_requests_are_under_way(exchange: SlowExchange, shared: SharedRead) -> None:
    reads: list[tuple[Moment, PositionsRead]] = []

    async def ask(after_sec: float) -> None:
        await trio.sleep(after_sec)
        asked = exchange.clock.now()
        reads.append((asked, await shared.read()))

    async with trio.open_nursery() as nursery:
        for step in range(10):
            nursery.start_soon(ask, step * 0.02)
    assert len(reads) == 10
    assert all(read.sent >= asked for asked, read in reads)
    # The second caller could not use the first's request; the other eight share a third.
    assert len(exchange.asked) == 3
    assert all(
        sum(start <= moment < start + ANSWER_SEC for start in exchange.asked) <= 2
        for moment in exchange.asked
    )


async def test_another_caller_asks_for_those_who_wait_if_the_asking_one_is_cancelled(
    exchange: SlowExchange, shared: SharedRead
) -> None:
    tick = exchange.clock.now()
    reads: list[PositionsRead] = []

    async def ask() -> None:
        reads.append(await shared.read(tick))

    first = trio.CancelScope()
    async with trio.open_nursery() as nursery:

        async def ask_first() -> None:
            with first:
                await shared.read(tick)

        nursery.start_soon(ask_first)
        await wait_all_tasks_blocked()
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await trio.sleep(0.1)
        first.cancel()
    assert len(reads) == 2
    assert reads[0] is reads[1]
    assert len(exchange.asked) == 2
    assert exchange.asked[1] - exchange.asked[0] == pytest.approx(0.1, abs=0.01)


async def test_a_failure_is_shared_and_the_next_caller_asks_again(
    exchange: SlowExchange, shared: SharedRead
) -> None:
    exchange.failing = True
    tick = exchange.clock.now()
    failures: list[str] = []

    async def ask() -> None:
        with pytest.raises(ExchangeUnavailable) as failed:
            await shared.read(tick)
        failures.append(str(failed.value))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(ask)
    assert failures == ["down"] * 4
    assert len(exchange.asked) == 1
    exchange.failing = False
    assert (await shared.read(tick)).sent >= tick
    assert len(exchange.asked) == 2
