"""The demo as a process, with a foreign Redis and a foreign exchange in its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

SOURCES = Path(__file__).parents[2]
PATIENCE_SEC = 90
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

    def children(self) -> dict[int, str]:
        """Its child processes: command by pid."""
        return {
            pid: command for pid, (parent, command) in _processes().items() if parent == self._process.pid
        }


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
    """Yield a running demo whose temporary files are all in `folder`, for the length of a block."""
    process = await trio.lowlevel.open_process(
        [sys.executable, *program, "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **FOREIGN, "TMPDIR": str(folder), "PYTHONPATH": str(SOURCES)},
    )
    try:
        with trio.fail_after(PATIENCE_SEC):
            yield Demo(process)
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def assert_empty(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def assert_nothing_left(folder: Path, children: dict[int, str]) -> None:
    assert len(children) == 3, children  # Redis, exchange, daemon
    running = _processes()
    assert [command for pid, command in children.items() if pid in running] == []
    assert_empty(folder)
