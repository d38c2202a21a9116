"""The demo as a user starts it, with a foreign Redis and a foreign exchange in the environment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

_SOURCES = Path(__file__).parents[2]
_PATIENCE_SEC = 90
_FOREIGN = {
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

    def interrupt(self) -> None:
        """Send the signal of Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

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
async def _demo(folder: Path, *arguments: str) -> AsyncIterator[Demo]:
    """Yield a running demo whose temporary files are all in `folder`, for the length of a block."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "commands", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **_FOREIGN, "TMPDIR": str(folder), "PYTHONPATH": str(_SOURCES)},
    )
    try:
        with trio.fail_after(_PATIENCE_SEC):
            yield Demo(process)
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def _assert_nothing_left(folder: Path, children: dict[int, str]) -> None:
    assert len(children) == 3, children  # Redis, exchange, daemon
    running = _processes()
    assert [command for pid, command in children.items() if pid in running] == []
    assert list(folder.iterdir()) == []


async def _replayed(file: Path) -> tuple[int, str]:
    """Run `replay --file`; return its exit code and its output."""
    done = await trio.run_process(
        [sys.executable, "-m", "commands", "replay", "--file", str(file)],
        stdin=b"",
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
        env={**os.environ, **_FOREIGN, "PYTHONPATH": str(_SOURCES)},
    )
    return done.returncode, done.stdout.decode()


async def test_the_demo_decides_executes_and_books_leaves_nothing_behind_and_replays_identically(
    tmp_path: Path,
) -> None:
    folder, recording = tmp_path / "temporary", tmp_path / "decisions.jsonl"
    folder.mkdir()
    async with _demo(folder, "--seconds", "6", "--export", str(recording)) as demo:
        await demo.wrote("Ready: 569 symbols")
        children = demo.children()
        code = await demo.ended()
    assert code == 0, demo.output
    for word in (
        "allowed ",
        "open ",
        "close ",
        "denied ",
        "symbol_not_in_allowlist",
        "malformed_plan",
        "permit latency",
        "snapshot ages",
        "request weight",
        "equals the exchange: 569 symbols",
        "OK: every plan was answered as expected",
    ):
        assert word in demo.output, demo.output
    _assert_nothing_left(folder, children)
    with trio.fail_after(_PATIENCE_SEC):
        code, shown = await _replayed(recording)
    assert code == 0, shown
    said = re.search(r"Identical: (\d+) decisions", shown)
    assert said is not None and int(said[1]) > 100, shown


async def test_ctrl_c_ends_the_demo_with_its_summary_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with _demo(tmp_path) as demo:
        await demo.wrote("plans=")
        children = demo.children()
        demo.interrupt()
        assert await demo.ended() == 0, demo.output
    assert "equals the exchange" in demo.output
    _assert_nothing_left(tmp_path, children)


@pytest.mark.parametrize("victim", ["commands run", "simulate-exchange", "-server "])
async def test_a_part_that_dies_ends_the_demo_with_exit_code_1(tmp_path: Path, victim: str) -> None:
    async with _demo(tmp_path) as demo:
        await demo.wrote("plans=")
        children = demo.children()
        (pid,) = [pid for pid, command in children.items() if victim in command]
        os.kill(pid, signal.SIGKILL)
        assert await demo.ended() == 1, demo.output
    assert "\ndemo: " in demo.output
    _assert_nothing_left(tmp_path, children)


async def test_a_recording_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    recording = tmp_path / "decisions.jsonl"
    recording.write_text("another's")
    async with _demo(tmp_path, "--export", str(recording)) as demo:
        assert await demo.ended() == 1
    assert f"demo: {recording}: File exists" in demo.output
    assert recording.read_text() == "another's"
