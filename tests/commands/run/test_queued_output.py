"""Standard output that is not read, closed or full: what arrives, what is counted, and no caller waits."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from commands.run.logging_setup import LogFormat, configure
from commands.run.queued_output import QUEUE_CHARACTERS, QueuedOutput

_ROOT = Path(__file__).resolve().parents[3]
_PIPE_BYTES = 4096
_WITHIN_SEC = 5.0
LINE = "x" * 99 + "\n"


class Pipe:
    """A pipe of 4 KiB and an output into it."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        fcntl.fcntl(self._writes, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.output = QueuedOutput(self._writes)

    @property
    def writing_end(self) -> int:
        return self._writes

    def fill(self) -> None:
        """Write as much as fits without a reader; the output's thread waits with the rest of it in hand."""
        self.output.write(LINE * (_PIPE_BYTES // len(LINE) + 1))
        assert not self.output.drain(0.05)

    def read(self) -> str:
        """Read until nothing is left to be written."""
        text = b""
        while not self.output.drain(0.0) or _readable(self._reads):
            if _readable(self._reads):
                text += os.read(self._reads, 1 << 16)
        return text.decode()

    def close_reading_end(self) -> None:
        os.close(self._reads)
        self._reads = -1

    def close(self) -> None:
        """Close both ends, when the thread has nothing left to write."""
        if self._reads >= 0:
            self.read()
            os.close(self._reads)
        os.close(self._writes)


def _readable(descriptor: int) -> bool:
    waiting = bytearray(4)
    fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
    return int.from_bytes(waiting, sys.byteorder) > 0


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_lines_that_are_read_arrive_whole_and_in_order(pipe: Pipe) -> None:
    lines = [f"line {number}\n" for number in range(5000)]
    for line in lines[:100]:
        pipe.output.write(line)
    assert pipe.read() == "".join(lines[:100])
    for line in lines:
        pipe.output.write(line)
    assert pipe.read() == "".join(lines)
    assert pipe.output.dropped == 0


def test_a_pipe_that_is_not_read_holds_no_caller_up_and_takes_no_memory_without_end(pipe: Pipe) -> None:
    pipe.fill()
    slowest_sec = 0.0
    for _ in range(20_000):
        began_sec = time.perf_counter()
        pipe.output.write(LINE)
        pipe.output.flush()
        slowest_sec = max(slowest_sec, time.perf_counter() - began_sec)
    assert slowest_sec < 0.2
    assert 20_000 - pipe.output.dropped <= QUEUE_CHARACTERS // len(LINE)


def test_a_full_queue_drops_its_oldest_lines_and_one_line_in_their_place_counts_them(pipe: Pipe) -> None:
    pipe.fill()
    before = _PIPE_BYTES // len(LINE) + 1
    for number in range(10_000):
        pipe.output.write(f"{number:05} {'y' * 93}\n")
    dropped = pipe.output.dropped
    assert dropped == 10_000 - QUEUE_CHARACTERS // 100
    first, *rest = pipe.read().splitlines()[before:]
    assert first == f"({dropped} lines dropped: they were not read in time)"
    assert [int(line[:5]) for line in rest] == list(range(dropped, 10_000))
    pipe.output.write("read again\n")
    assert pipe.read() == "read again\n"
    assert pipe.output.dropped == dropped


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_in_the_log_that_line_is_a_warning_of_the_logs_own_format(pipe: Pipe, log_format: LogFormat) -> None:
    configure("INFO", log_format, stream=pipe.output, now_ms=lambda: 1_795_248_000_123)
    pipe.fill()
    log = structlog.get_logger()
    for _ in range(4_000):
        log.info("x" * 99)
    dropped = pipe.output.dropped
    assert dropped > 0
    gap = pipe.read().splitlines()[_PIPE_BYTES // len(LINE) + 1]
    if log_format == "json":
        assert json.loads(gap) == {
            "ts": "2026-11-21T08:00:00.123Z",
            "level": "warning",
            "message": "Log lines dropped: they were not read in time",
            "lines": dropped,
        }
    else:
        assert gap == (
            f"2026-11-21T08:00:00.123Z WARN  Log lines dropped: they were not read in time lines={dropped}"
        )


def test_the_journal_behind_the_queue_gets_priorities(pipe: Pipe) -> None:
    described = os.fstat(pipe.writing_end)
    configure("INFO", "text", stream=pipe.output, journal_stream=f"{described.st_dev}:{described.st_ino}")
    structlog.get_logger().error("lost")
    assert pipe.read().startswith("<3>")


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe: Pipe) -> None:
    pipe.close_reading_end()
    pipe.output.write("one\ntwo\n")
    assert pipe.output.drain(_WITHIN_SEC)
    pipe.output.write("three\n")
    assert pipe.output.drain(_WITHIN_SEC)
    assert pipe.output.dropped == 3


def test_lines_that_a_full_disk_refuses_are_counted() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        output = QueuedOutput(descriptor)
        output.write("one\ntwo\n")
        assert output.drain(_WITHIN_SEC)
        assert output.dropped == 2
    finally:
        os.close(descriptor)


def test_after_a_failure_in_the_middle_of_a_line_the_next_one_begins_anew(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refuse = os.write, [False]

    def half_a_disk(descriptor: int, data: bytes) -> int:
        if refuse[0]:
            raise OSError(28, "No space left on device")
        refuse[0] = True
        return write(descriptor, bytes(data)[:6])

    monkeypatch.setattr(os, "write", half_a_disk)
    pipe.output.write("one\ntwo\nthree\n")
    assert pipe.output.drain(_WITHIN_SEC)
    monkeypatch.setattr(os, "write", write)
    assert pipe.output.dropped == 2
    pipe.output.write("four\n")
    assert pipe.read() == "one\ntw\n(2 lines dropped: they were not read in time)\nfour\n"


def test_a_descriptor_that_another_process_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing_end, False)
    for _ in range(1_000):
        pipe.output.write(LINE)
    assert not pipe.output.drain(0.05)
    assert pipe.read() == LINE * 1_000
    assert pipe.output.dropped == 0


def test_text_that_is_no_unicode_is_written_all_the_same(pipe: Pipe) -> None:
    pipe.output.write("USDⓈ-M \udc80\n")
    assert pipe.read() == "USDⓈ-M \\udc80\n"


#: A process that ends by an error, with whatever is to be done before.
_ENDS_BADLY = """
import sys
from commands.run.queued_output import queue_standard_streams
queue_standard_streams()
{before}
raise RuntimeError("the last words")
"""
_FILLS = 'print("x" * 100_000, file=sys.stderr)'


def _process(
    before: str,
    *,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    prepare: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", _ENDS_BADLY.format(before=before)]
    return subprocess.Popen(program, cwd=_ROOT, stdout=stdout, stderr=stderr, preexec_fn=prepare)  # noqa: S603


@pytest.mark.process
def test_the_traceback_that_ends_the_process_is_written_when_it_is_read() -> None:
    process = _process('print("before")')
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert output == b"before\n"
    assert errors.endswith(b"RuntimeError: the last words\n")
    assert b"lines dropped" not in errors


@pytest.mark.process
def test_a_standard_error_that_is_not_read_keeps_no_process_from_ending() -> None:
    process = _process(_FILLS)
    try:
        assert process.wait(timeout=20) == 1
    finally:
        process.kill()
        process.communicate()


@pytest.mark.process
def test_a_signal_ends_a_process_while_its_standard_error_is_not_read() -> None:
    process = _process(f'{_FILLS}; import time; print("filled"); time.sleep(60)')
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"filled\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


@pytest.mark.process
@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_a_process_that_starts_with_closed_streams_writes_nowhere(closed: tuple[int, ...]) -> None:
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    process = _process(f'print("before"); {_FILLS}', stdout=None, stderr=subprocess.DEVNULL, prepare=close)
    assert process.wait(timeout=20) == 1
