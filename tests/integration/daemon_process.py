"""The daemon as a process of its own, as an operator runs it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.integration.surroundings import is_ready
from tests.integration.waiting import until

_ROOT = Path(__file__).resolve().parents[2]
RUN = ("-m", "commands", "run")
_ADDRESS = re.compile(r" HTTP address=(\S+)")


class DaemonProcess:
    """A running `run`, or one that has ended."""

    def __init__(self, process: trio.Process, folder: Path) -> None:
        self.process = process
        self._folder = folder

    @property
    def output(self) -> str:
        """Standard output so far."""
        return (self._folder / "stdout").read_text(errors="replace")

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return (self._folder / "stderr").read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def run_delay_sec(self) -> float:
        """Return how long the daemon and this process were ready to run while others ran (Linux; seconds).

        On a busy machine the difference of two such times is no delay of the daemon's own making.
        """
        pids = ("self", self.process.pid)
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) for pid in pids) / 1e9

    async def url(self) -> str:
        """Return its address from its log."""
        found = await until(
            lambda: _ADDRESS.search(self.output) or not self.alive, "the address in the log", within_sec=60
        )
        assert isinstance(found, re.Match), f"ended with {self.process.returncode}: {self.errors}"
        return found[1]

    async def ready(self) -> str:
        """Wait until it is ready; where it listens. AssertionError has the end of its log."""
        url = await self.url()
        try:
            await is_ready(lambda: url, within_sec=30)
        except AssertionError as late:
            raise AssertionError(f"{late}; {self.output[-2000:]}") from None
        return url

    async def ends(self, within_sec: float) -> int:
        """Wait for its end; its exit code."""
        with trio.fail_after(within_sec):
            return await self.process.wait()

    async def stop(self, number: signal.Signals, within_sec: float = 5.0) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return await self.ends(within_sec)


@asynccontextmanager
async def daemon_process(
    environ: Mapping[str, str], program: Sequence[str] = RUN, root: Path = _ROOT
) -> AsyncIterator[DaemonProcess]:
    """Start `run` with that environment and no other; killed at the end if it is still there.

    `program`: the arguments of Python instead. `root`: the tree whose code runs.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = await trio.lowlevel.open_process(
                [sys.executable, *program],
                cwd=root,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        daemon = DaemonProcess(process, folder)
        try:
            yield daemon
        finally:
            with trio.CancelScope(shield=True):
                if process.poll() is None:
                    process.kill()
                await process.wait()
