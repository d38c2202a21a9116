"""The log is not read any more: decisions go on as before, lines are counted, and SIGTERM still ends it."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from commands.demo.children import free_port
from tests.integration.http_side import metric
from tests.integration.pipeline import PLANS, Pipeline, entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, readiness
from tests.integration.waiting import until

_ROOT = Path(__file__).resolve().parents[2]
_RUN = (sys.executable, "-m", "commands", "run")
_ADDRESS = re.compile(rb" HTTP address=(\S+)\n")
_DECISION = re.compile(r"P3\.3 (?:ALLOW|ALLOW OPEN|DENY) plan (\S+)")
_GAP = re.compile(r" WARN  Log lines dropped: they were not read in time lines=(\d+)$", re.MULTILINE)

FENCE = "quantum:p33:fence"
#: A pipe of the usual 64 KiB stood still after 453 decisions, this one after 30.
PIPE_BYTES = 4096
#: P33_TESTS_UNREAD_LOG_SEC=60 makes it a minute.
UNREAD_SEC = float(os.environ.get("P33_TESTS_UNREAD_LOG_SEC", "6"))
PLANS_PER_SEC = 50
#: More than the queue holds, and published within a second.
BURST = 3_000
STOP_SEC = 5.0
#: Of the decisions while the log is not read. The Apply Layer waits 1.2 s.
P99_SEC = 0.3


class LoggingDaemon:
    """A daemon whose standard output and error are one pipe."""

    def __init__(self, process: trio.Process, reading_end: int) -> None:
        self.process = process
        self._reading_end = reading_end
        self._read = b""
        self.url = ""

    async def started(self) -> None:
        """Read the log up to the address, and no further than what came with it; wait until it is ready."""

        def address() -> re.Match[bytes] | None:
            self._take()
            return _ADDRESS.search(self._read)

        found = await until(address, "the address in the log", within_sec=60)
        assert found is not None
        self.url = found[1].decode()
        await is_ready(lambda: self.url, within_sec=30)

    def read(self) -> str:
        """Take all that the pipe holds now; the whole log as read so far."""
        self._take()
        return self._read.decode()

    def pipe_is_full(self) -> bool:
        """Return whether text waits for a reader: a page without room for the next write is full."""
        waiting = bytearray(4)
        fcntl.ioctl(self._reading_end, termios.FIONREAD, waiting)
        return int.from_bytes(waiting, sys.byteorder) > 0

    async def dropped(self) -> int:
        """Lines dropped, by `/metrics`."""
        return int(await metric(self.url, "p33_log_lines_dropped_total"))

    async def stopped(self) -> float:
        """Send SIGTERM; seconds until it has ended, with exit code 0."""
        began_sec = trio.current_time()
        self.process.send_signal(signal.SIGTERM)
        with trio.fail_after(STOP_SEC):
            assert await self.process.wait() == 0
        return trio.current_time() - began_sec

    def _take(self) -> None:
        while True:
            try:
                taken = os.read(self._reading_end, 1 << 16)
            except BlockingIOError:
                return
            if not taken:
                return
            self._read += taken


@asynccontextmanager
async def logging_daemon(site: Site) -> AsyncIterator[LoggingDaemon]:
    reading_end, writing_end = os.pipe()
    try:
        fcntl.fcntl(writing_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(reading_end, False)
        process = await trio.lowlevel.open_process(
            _RUN,
            cwd=_ROOT,
            env=site.environ(),
            stdin=subprocess.DEVNULL,
            stdout=writing_end,
            stderr=subprocess.STDOUT,
        )
    finally:
        os.close(writing_end)
    try:
        daemon = LoggingDaemon(process, reading_end)
        await daemon.started()
        yield daemon
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        os.close(reading_end)


async def answered_sec(pipeline: Pipeline, numbers: Sequence[int]) -> list[float]:
    """Publish a plan 50 times a second; seconds until each was answered."""
    took_sec: list[float] = []

    async def ask(number: int) -> None:
        began_sec = trio.current_time()
        fields = full_close(SYMBOLS[number % 8]) if number % 2 else entry(SYMBOLS[number % 8], "20")
        pipeline.publish_plan(f"{number:08}", fields)
        await pipeline.permit(f"{number:08}", within_sec=5)
        took_sec.append(trio.current_time() - began_sec)

    async with trio.open_nursery() as nursery:
        began_sec = trio.current_time()
        for count, number in enumerate(numbers):
            await trio.sleep(max(0.0, began_sec + count / PLANS_PER_SEC - trio.current_time()))
            nursery.start_soon(ask, number)
    return took_sec


async def decide_at_once(pipeline: Pipeline, numbers: Sequence[int]) -> None:
    """Publish plans as fast as Redis takes them, and wait until all are answered."""
    pipe = pipeline.redis.pipeline(transaction=False)
    for number in numbers:
        pipe.xadd(PLANS, {"plan_id": f"{number:08}", **full_close(SYMBOLS[number % 8])})
    pipe.execute()
    await pipeline.nothing_pends(PLANS, within_sec=30)


def p99(took_sec: Sequence[float]) -> float:
    return sorted(took_sec)[len(took_sec) * 99 // 100]


@pytest.mark.timing
async def test_while_the_log_is_not_read_plans_are_decided_as_before_and_what_it_lost_is_counted(
    site: Site,
) -> None:
    async with logging_daemon(site) as daemon:
        fence = site.redis.get(FENCE)
        count = int(UNREAD_SEC * PLANS_PER_SEC)
        took_sec = await answered_sec(site, range(count))
        assert daemon.pipe_is_full()
        assert len(took_sec) == count
        assert p99(took_sec) < P99_SEC

        await decide_at_once(site, range(count, count + BURST))
        dropped = await daemon.dropped()
        assert dropped > 0
        status, shown = await readiness(daemon.url)
        assert status == 200, shown

        # The reader is back: what was kept, one line for what was not, and from then on every line.
        await site.ask("the-last", entry("BTCUSDT", "0.01"))
        await until(lambda: " plan the-last " in daemon.read(), "the newest line")
        log = daemon.read()
        assert [int(lines) for lines in _GAP.findall(log)] == [dropped]
        assert await daemon.dropped() == dropped
        decided = _DECISION.findall(log)
        assert len(set(decided)) == len(decided)
        # A few of the lines that were dropped are no decisions.
        missing = count + BURST + 1 - len(decided)
        assert dropped - 10 <= missing <= dropped
        assert "Actor failed" not in log
        assert site.redis.get(FENCE) == fence, "the lease was lost"

        await decide_at_once(site, range(count + BURST, count + 2 * BURST))
        assert daemon.pipe_is_full()
        assert await daemon.stopped() < STOP_SEC
    assert site.redis.get("quantum:p33:lease") is None
    assert set(site.decisions().values()) == {1}


#: Where the log goes: a disk that is full, a pipe whose reader is gone, nowhere at all.
TAKE_NOTHING = {
    "full": "os.dup2(os.open('/dev/full', os.O_WRONLY), {fd})",
    "gone": "ends = os.pipe(); os.dup2(ends[1], {fd}); os.closerange(3, 20)",
    "closed": "os.close({fd})",
}
_RUN_WITH = "import os, sys; {change}; os.execv(sys.executable, [sys.executable, '-m', 'commands', 'run'])"


@pytest.mark.parametrize("how", TAKE_NOTHING)
async def test_an_output_that_takes_nothing_stops_nothing(site: Site, how: str) -> None:
    port = free_port()
    change = "; ".join(TAKE_NOTHING[how].format(fd=fd) for fd in (1, 2))
    async with site.daemon(
        {"P33_METRICS_PORT": str(port)}, ("-c", _RUN_WITH.format(change=change))
    ) as daemon:
        await is_ready(lambda: f"http://127.0.0.1:{port}", within_sec=30)
        permit = await site.ask("one", entry("BTCUSDT", "0.01"))
        assert permit["allow"] is True
        assert await daemon.stop(signal.SIGTERM) == 0
        assert daemon.output == ""
