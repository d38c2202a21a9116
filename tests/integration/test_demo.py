"""The demo as a user starts it, ends it and pipes it, and with parts that die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import trio

from commands import EXIT_INCONCLUSIVE
from tests.integration import demo_process
from tests.integration.demo_process import (
    FOREIGN,
    PATIENCE_SEC,
    SOURCES,
    assert_empty,
    assert_nothing_left,
    running_demo,
    still_running,
)


async def _replayed(file: Path) -> tuple[int, str]:
    """Run `replay --file`; return its exit code and its output."""
    done = await trio.run_process(
        [sys.executable, "-m", "commands", "replay", "--file", str(file)],
        stdin=b"",
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
        env={**os.environ, **FOREIGN, "PYTHONPATH": str(SOURCES)},
    )
    return done.returncode, done.stdout.decode()


async def test_the_demo_decides_executes_and_books_leaves_nothing_behind_and_replays_identically(
    tmp_path: Path,
) -> None:
    folder, recording = tmp_path / "temporary", tmp_path / "decisions.jsonl"
    folder.mkdir()
    async with running_demo(folder, "--seconds", "6", "--export", str(recording)) as demo:
        await demo.wrote(
            "the daemon, with an environment of its own, in the roles universe, intent_bridge, governor, "
            "executor, reconcile and decision_intelligence"
        )
        await demo.wrote("Ready: 569 symbols")
        children = demo.children()
        code = await demo.ended()
    assert code == 0, demo.output
    for word in (
        "trade ",
        "exit ",
        "harvest ",
        "flat_close ",
        "symbol_not_in_universe ",
        "in_flight_permit ",
        "allowed ",
        "open ",
        "close ",
        "snapshot ages",
        "request weight",
        "equals the exchange: 569 symbols",
        "open cases      none",
        "OK: every plan was answered as expected, and everything adds up",
    ):
        assert word in demo.output, demo.output
    assert_nothing_left(folder, children)
    with trio.fail_after(PATIENCE_SEC):
        code, shown = await _replayed(recording)
    assert code == 0, shown
    said = re.search(r"Identical: (\d+) decisions", shown)
    assert said is not None and int(said[1]) > 50, shown


async def test_everything_on_stage_has_its_consequence_and_adds_up(tmp_path: Path) -> None:
    async with running_demo(tmp_path, "--seconds", "37") as demo:
        # Of the thousand plans around the stage one may be late on a busy machine.
        assert await demo.ended() in (0, EXIT_INCONCLUSIVE), demo.output
    on_stage = re.findall(r"^ +(\d+)\.\d+s (\w+): ([\w ]+): ([\w ]+) after ", demo.output, re.MULTILINE)
    followed: dict[tuple[int, str], list[str]] = {}
    for at_sec, _, title, text in on_stage:
        followed.setdefault((int(at_sec), title), []).append(text)
    assert followed == {
        (1, "trade by hand"): ["close denied", "person called", "closed", "released"],
        (3, "result lost"): ["result deleted", "held", "repaired", "released"],
        (8, "delisting"): ["closing list", "add refused", "half closed", "held", "repaired", "settled"],
        (14, "liquidation"): ["held", "repaired", "released"],
        (22, "trade by hand"): ["close denied", "person called", "left open"],
    }
    (left_open,) = {symbol for at_sec, symbol, *_ in on_stage if at_sec == "22"}
    assert f"open cases      {left_open} (left open on stage)" in demo.output


async def test_the_demo_plays_the_roles_that_the_daemon_has_not(tmp_path: Path) -> None:
    async with running_demo(tmp_path, "--seconds", "3", "--roles", "") as demo:
        await demo.wrote("the other services: universe, publishers, Governor, reconcile engine, executors")
        await demo.wrote("Ready: 569 symbols")
        children = demo.children()
        assert await demo.ended() == 0, demo.output
    assert "results twice" in demo.output
    assert "equals the exchange: 569 symbols" in demo.output
    assert_nothing_left(tmp_path, children)


async def test_ctrl_c_ends_the_demo_with_its_summary_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo:
        await demo.wrote("plans=")
        children = demo.children()
        demo.interrupt()
        assert await demo.ended() == 0, demo.output
    assert "equals the exchange" in demo.output
    assert_nothing_left(tmp_path, children)


@pytest.mark.parametrize(
    ("victim", "name"),
    [
        ("commands run", "the daemon"),
        ("simulate-exchange", "the simulated exchange"),
        ("-server ", "redis-server"),
    ],
)
async def test_a_part_that_dies_ends_the_demo_with_exit_code_1_and_its_name(
    tmp_path: Path, victim: str, name: str
) -> None:
    async with running_demo(tmp_path) as demo:
        await demo.wrote("plans=")
        children = demo.children()
        (pid,) = [pid for pid, command in children.items() if victim in command]
        os.kill(pid, signal.SIGKILL)
        assert await demo.ended() == 1, demo.output
    assert demo.output.endswith(f"\ndemo: {name} was killed by SIGKILL\n")
    assert_nothing_left(tmp_path, children)


@pytest.mark.parametrize(
    ("part", "how"), [("a private redis-server", signal.SIGINT), ("the other services", signal.SIGHUP)]
)
async def test_an_interrupt_of_the_start_is_one_sentence_and_leaves_nothing_behind(
    tmp_path: Path, part: str, how: signal.Signals
) -> None:
    async with running_demo(tmp_path) as demo:
        await demo.wrote(f": {part}")
        demo.interrupt(how)
        assert await demo.ended() == 130, demo.output
    assert demo.output.endswith("\ndemo: interrupted\n")
    assert_empty(tmp_path)


async def test_a_closed_pipe_ends_the_demo_in_silence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running_demo(tmp_path, stderr=subprocess.PIPE) as demo:
        await demo.wrote("redis-server")
        assert await demo.closed() == (141, "")
    assert_empty(tmp_path)


@pytest.fixture
def full_disk() -> Iterator[BinaryIO]:
    with Path("/dev/full").open("wb") as full:
        yield full


async def test_output_that_finds_no_space_is_one_sentence(tmp_path: Path, full_disk: BinaryIO) -> None:
    done = await trio.run_process(
        [sys.executable, "-m", "commands", "demo"],
        stdin=b"",
        stdout=full_disk,
        capture_stderr=True,
        check=False,
        env={**os.environ, **FOREIGN, "TMPDIR": str(tmp_path), "PYTHONPATH": str(SOURCES)},
    )
    assert done.returncode == 1
    assert done.stderr.decode() == "demo: standard output: No space left on device\n"


async def test_a_recording_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    recording = tmp_path / "decisions.jsonl"
    recording.write_text("another's")
    async with running_demo(tmp_path, "--export", str(recording)) as demo:
        assert await demo.ended() == 1
    assert f"demo: {recording}: File exists" in demo.output
    assert recording.read_text() == "another's"


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_demo_whose_test_fails_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """As where it is late. One that does not answer any more is killed, and its children with it."""
    monkeypatch.setattr(demo_process, "ENDS_WITHIN_SEC", 2.0 if hangs else demo_process.ENDS_WITHIN_SEC)
    children: dict[int, str] = {}

    async def fails() -> None:
        async with running_demo(tmp_path) as demo:
            await demo.wrote("Ready: ")
            children.update(demo.children())
            if hangs:
                demo.interrupt(signal.SIGSTOP)
            raise trio.TooSlowError

    with pytest.raises(trio.TooSlowError):
        await fails()
    assert len(children) == 3
    assert still_running(children) == {}
    if not hangs:
        assert_empty(tmp_path)
