"""The demo as a process, with a foreign Redis and a foreign exchange in its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.integration.waiting import until

SOURCES = Path(__file__).parents[2]
PATIENCE_SEC = 90
#: For its own patience with its children, of which each has 6 s, and a report.
ENDS_WITHIN_SEC = 25.0
FOREIGN = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "REDIS_HOST": "192.0.2.1",
    "BINANCE_API_KEY": "a real key",
    "BINANCE_TESTNET": "false",
    "BINANCE_REST_URL": "https://192.0.2.1",
    "P33_COOLDOWN_SEC": "not a number",
    "P33_KEY_PREFIX": "elsewhere",
    "HTTP_PROXY": "http://192.0.2.1:1",
    "HTTPS_PROXY": "http://192.0.2.1:1",
}


class Demo:
    """A demo that runs as a process, and what it has written."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.output = ""

    async def wrote(self, text: str) -> None:
        """Read until the demo has written this."""
        assert self._process.stdout is not None
        while text not in self.output:
            more = await self._process.stdout.receive_some()
            assert more, f"it ended before it wrote {text!r}:\n{self.output}"
            self.output += more.decode()

    async def ended(self) -> int:
        """Read to the end; the exit code."""
        assert self._process.stdout is not None
        async for more in self._process.stdout:
            self.output += more.decode()
        return await self._process.wait()

    def interrupt(self, how: signal.Signals = signal.SIGINT) -> None:
        """Send a signal, that of Ctrl-C by default."""
        self._process.send_signal(how)

    async def closed(self) -> tuple[int, str]:
        """Close the reading end of its standard output, as `head` does; the exit code and standard error."""
        assert self._process.stdout is not None and self._process.stderr is not None
        await self._process.stdout.aclose()
        errors = b"".join([more async for more in self._process.stderr])
        return await self._process.wait(), errors.decode()

    async def stop(self) -> None:
        """Interrupt a demo that runs still, so that it ends its children; or kill it, and them."""
        children: dict[int, str] = {}
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with trio.move_on_after(ENDS_WITHIN_SEC):
                await self._process.wait()
            children = self.children()
            if self._process.poll() is None:
                self._process.kill()
        await self._process.wait()
        # They have sessions of their own, and another parent from now on.
        for pid in still_running(children):
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not still_running(children), "the end of the demo's children", ENDS_WITHIN_SEC)

    def children(self) -> dict[int, str]:
        """Its child processes: command by pid."""
        return {
            pid: command for pid, (parent, command) in _processes().items() if parent == self._process.pid
        }


def still_running(children: Iterable[int]) -> dict[int, str]:
    """Return those of the processes that run: command by pid."""
    running = _processes()
    found = {pid: running[pid][1] for pid in children if pid in running}
    return {pid: command for pid, command in found.items() if not command.endswith("<defunct>")}


def _processes() -> dict[int, tuple[int, str]]:
    """Return all processes of this machine: parent and command by pid."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)  # noqa: S607
    rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    return {int(row[0]): (int(row[1]), row[2] if len(row) > 2 else "") for row in rows}


@asynccontextmanager
async def running_demo(
    folder: Path,
    *arguments: str,
    program: Sequence[str] = ("-m", "commands"),
    stderr: int = subprocess.STDOUT,
) -> AsyncIterator[Demo]:
    """Yield a running demo whose temporary files are all in `folder`, for the length of a block.

    However the block ends, the demo and its children are gone afterwards.
    """
    process = await trio.lowlevel.open_process(
        [sys.executable, *program, "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **FOREIGN, "TMPDIR": str(folder), "PYTHONPATH": str(SOURCES)},
    )
    demo = Demo(process)
    try:
        with trio.fail_after(PATIENCE_SEC):
            yield demo
    finally:
        with trio.CancelScope(shield=True):
            await demo.stop()


def assert_empty(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def assert_nothing_left(folder: Path, children: dict[int, str]) -> None:
    assert len(children) == 3, children  # Redis, exchange, daemon
    assert still_running(children) == {}
    assert_empty(folder)
