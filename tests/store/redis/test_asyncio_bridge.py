"""The bridge to asyncio: how often trio's tasks get their turn."""

from __future__ import annotations

import asyncio
import statistics

import pytest
import trio

from commands.clients.embedded_redis import find_redis_server
from permit_gate.bridge import trio_asyncio
from store.redis.asyncio_bridge import open_bridge
from store.redis.client import RedisLink
from tests.store.redis_servers import running


class Rounds(trio.abc.Instrument):
    """Counts the rounds of trio's loop."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_callbacks_that_wait_run_in_one_round() -> None:
    rounds, seen = Rounds(), list[int]()
    trio.lowlevel.add_instrument(rounds)
    async with open_bridge():
        loop = trio_asyncio.current_loop.get()
        await loop.synchronize()
        for _ in range(20):
            loop.call_soon(lambda: seen.append(rounds.count))
        await loop.synchronize()
    trio.lowlevel.remove_instrument(rounds)
    assert len(seen) == 20
    assert len(set(seen)) == 1


async def test_a_call_scheduled_by_a_callback_runs_in_the_same_round() -> None:
    rounds, seen = Rounds(), list[int]()
    trio.lowlevel.add_instrument(rounds)
    async with open_bridge():
        loop = trio_asyncio.current_loop.get()
        await loop.synchronize()

        def again() -> None:
            seen.append(rounds.count)
            if len(seen) < 10:
                loop.call_soon(again)

        loop.call_soon(again)
        with trio.fail_after(5):
            while len(seen) < 10:
                await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(rounds)
    assert len(set(seen)) == 1


async def test_callbacks_without_end_leave_trios_tasks_their_turns() -> None:
    running = True
    async with open_bridge():
        loop = trio_asyncio.current_loop.get()

        def for_ever() -> None:
            if running:
                loop.call_soon(for_ever)

        loop.call_soon(for_ever)
        with trio.fail_after(5):
            for _ in range(50):
                await trio.lowlevel.checkpoint()
        running = False


async def test_timers_without_end_leave_trios_tasks_their_turns() -> None:
    most = 100_000
    async with open_bridge():
        loop = trio_asyncio.current_loop.get()

        def for_ever() -> None:
            nonlocal most
            most -= 1
            if most > 0:
                loop.call_later(0, for_ever)

        loop.call_later(0, for_ever)
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        assert most > 0
        most = 0


async def test_timers_run_when_they_are_due() -> None:
    async with open_bridge():
        begun_sec = trio.current_time()
        with trio.fail_after(5):
            await trio_asyncio.aio_as_trio(asyncio.sleep)(0.02)
        assert trio.current_time() - begun_sec >= 0.02


async def test_an_error_of_a_coroutine_is_raised_here() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("on asyncio's side")

    async with open_bridge():
        with pytest.raises(ValueError, match="on asyncio's side"):
            await trio_asyncio.aio_as_trio(fail)()


async def test_a_cancelled_call_is_cancelled_on_asyncios_side() -> None:
    ended = list[str]()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with open_bridge():
        with trio.move_on_after(0.01) as scope:
            await trio_asyncio.aio_as_trio(wait)()
    assert scope.cancelled_caught
    assert ended == ["cancelled"]


@pytest.mark.redis
async def test_a_command_and_a_pipeline_take_four_rounds_each() -> None:
    """To send, to receive, to resume asyncio's task and ours. By itself trio-asyncio takes six."""
    rounds = Rounds()
    with running(find_redis_server()) as server, trio.fail_after(20):
        async with open_bridge():
            link = RedisLink(server.url, timeout_sec=5)
            await link.command("PING")
            counts: list[int] = []
            trio.lowlevel.add_instrument(rounds)
            for _ in range(20):
                for ask in (link.command("PING"), link.pipeline([("PING",)] * 5)):
                    rounds.count = 0
                    await ask
                    counts.append(rounds.count)
            trio.lowlevel.remove_instrument(rounds)
            await link.close()
    # An answer that comes in two parts takes more.
    assert statistics.median(counts) == 4
