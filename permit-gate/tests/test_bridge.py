"""Running loop of asyncio, as its C code knows it, on trio-asyncio's loop."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from _asyncio import _get_running_loop
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import pytest
import sniffio
import trio

from permit_gate.bridge import trio_asyncio

on_314 = pytest.mark.skipif(sys.version_info < (3, 14), reason="an older asyncio asks trio-asyncio")
Callback = Callable[[], None]


@contextmanager
def at_once(loop: Any, callback: Callback) -> Iterator[None]:
    loop.call_soon(callback)
    yield


@contextmanager
def later(loop: Any, callback: Callback) -> Iterator[None]:
    loop.call_later(0.001, callback)
    yield


@contextmanager
def from_a_thread(loop: Any, callback: Callback) -> Iterator[None]:
    loop.call_soon_threadsafe(callback)
    yield


@contextmanager
def when_bytes_arrive(loop: Any, callback: Callback) -> Iterator[None]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, callback)
        theirs.send(b"x")
        yield
        loop.remove_reader(ours)


@contextmanager
def when_there_is_room(loop: Any, callback: Callback) -> Iterator[None]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_writer(ours, callback)
        yield
        loop.remove_writer(ours)


@on_314
@pytest.mark.parametrize("schedule", [at_once, later, from_a_thread, when_bytes_arrive, when_there_is_room])
async def test_a_callback_runs_with_its_loop_as_the_running_one(schedule: Any) -> None:
    seen, done = set[Any](), trio.Event()

    def callback() -> None:
        seen.add(_get_running_loop())
        done.set()

    async with trio_asyncio.open_loop() as loop:
        with schedule(loop, callback), trio.fail_after(5):
            await done.wait()
            assert _get_running_loop() is None
    assert seen == {loop}


@on_314
async def test_a_callback_that_the_closing_loop_runs_has_it_as_the_running_one() -> None:
    seen = list[Any]()
    async with trio_asyncio.open_loop() as loop:
        loop.call_soon(lambda: seen.append(_get_running_loop()))
    assert seen == [loop]
    assert _get_running_loop() is None


async def test_an_error_of_a_callback_leaves_no_running_loop() -> None:
    errors, done = list[Any](), trio.Event()

    def fail() -> None:
        done.set()
        raise ValueError("of a callback")

    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(lambda _loop, context: errors.append(context["exception"]))
        loop.call_soon(fail)
        await done.wait()
        assert _get_running_loop() is None
    assert [type(error) for error in errors] == [ValueError]


async def test_trios_tasks_see_no_running_loop_between_the_steps_of_asyncios() -> None:
    seen = set[Any]()

    async def work() -> int:
        async def step() -> int:
            await asyncio.sleep(0)
            return 1

        return sum([await asyncio.wait_for(asyncio.ensure_future(step()), 5) for _ in range(50)])

    async def watch() -> None:
        while True:
            seen.add((_get_running_loop(), sniffio.current_async_library()))
            await trio.lowlevel.checkpoint()

    async with trio_asyncio.open_loop(), trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        assert await trio_asyncio.aio_as_trio(work)() == 50
        nursery.cancel_scope.cancel()
    assert seen == {(None, "trio")}


def test_asyncios_own_loop_runs_in_a_process_with_the_bridge() -> None:
    use = "import asyncio, permit_gate.bridge; print(asyncio.run(asyncio.sleep(0, 'slept')))"
    done = subprocess.run([sys.executable, "-c", use], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("slept\n", "")


@on_314
def test_the_import_warns_of_nothing_and_leaves_no_name_in_asyncio() -> None:
    use = (
        "import permit_gate.bridge, asyncio;"
        "print([name for name in ('BaseDefaultEventLoopPolicy', 'AbstractChildWatcher')"
        " if hasattr(asyncio, name) or hasattr(asyncio.events, name)])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", use], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
