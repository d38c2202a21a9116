from __future__ import annotations

import io
import json
from typing import Any

import pytest
import structlog

from commands.run.log_repetition import INTERVAL_SEC, Repetitions
from commands.run.logging_setup import LogFormat, configure

NOW_MS = 1_795_248_000_123
NOW = "2026-11-21T08:00:00.123Z"


class Clock:
    def __init__(self) -> None:
        self.sec = 0.0

    def __call__(self) -> float:
        return self.sec


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Log:
    """A log with its written lines."""

    def __init__(self, clock: Clock, log_format: LogFormat = "text") -> None:
        self._out = io.StringIO()
        self.finish = configure("INFO", log_format, stream=self._out, now_ms=lambda: NOW_MS, now_sec=clock)
        self.log: Any = structlog.get_logger()

    def lines(self) -> list[str]:
        """Return those since the last time, without their time."""
        written = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return [line.removeprefix(f"{NOW} ") for line in written.splitlines()]


def test_the_first_of_many_is_written_and_the_rest_are_counted_once_an_interval(clock: Clock) -> None:
    log = Log(clock)
    for _ in range(50):
        log.log.warning("Positions could not be read", error="status 502")
        clock.sec += 1
    assert log.lines() == [
        'WARN  Positions could not be read error="status 502"',
        'WARN  Positions could not be read error="status 502" repeated=29 within_sec=30.0',
    ]
    clock.sec += INTERVAL_SEC
    log.log.info("something else")
    assert log.lines() == [
        'WARN  Positions could not be read error="status 502" repeated=20 within_sec=50.0',
        "INFO  something else",
    ]


def test_a_line_that_comes_again_after_a_quiet_interval_is_a_first_again(clock: Clock) -> None:
    log = Log(clock)
    log.log.error("lost")
    clock.sec += INTERVAL_SEC
    log.log.error("lost")
    assert log.lines() == ["ERROR lost", "ERROR lost"]


def test_a_burst_that_goes_on_is_counted_every_interval_and_never_starts_over(clock: Clock) -> None:
    log = Log(clock)
    for _ in range(4):
        log.log.error("lost")
        log.log.error("lost")
        clock.sec += INTERVAL_SEC
    log.log.info("tick")
    assert log.lines() == [
        "ERROR lost",
        "ERROR lost repeated=1 within_sec=30.0",
        "ERROR lost repeated=2 within_sec=30.0",
        "ERROR lost repeated=2 within_sec=30.0",
        "ERROR lost repeated=2 within_sec=30.0",
        "INFO  tick",
    ]


def test_numbers_do_not_make_another_warning_of_it_but_names_and_words_do(clock: Clock) -> None:
    log = Log(clock)
    warn = log.log.warning
    warn("Plan entry made a dead letter", entry_id="1763712000123-0", error="no plan_id")
    warn("Plan entry made a dead letter", entry_id="1763712000124-7", error="no plan_id")
    warn("Plan entry made a dead letter", entry_id="1763712000125-0", error="no symbol")
    warn("Actor restarted", actor="snapshot_fetcher_0", restart=1)
    warn("Actor restarted", actor="snapshot_fetcher_0", restart=2)
    warn("Actor restarted", actor="snapshot_fetcher_1", restart=1)
    warn("took 0.31s", held="0.5")
    warn("took 12.7s", held="-0.75")
    assert [line.split(" ", 1)[1].strip() for line in log.lines()] == [
        'Plan entry made a dead letter entry_id=1763712000123-0 error="no plan_id"',
        'Plan entry made a dead letter entry_id=1763712000125-0 error="no symbol"',
        "Actor restarted actor=snapshot_fetcher_0 restart=1",
        "Actor restarted actor=snapshot_fetcher_1 restart=1",
        "took 0.31s held=0.5",
    ]


def test_a_warning_and_an_error_of_the_same_words_are_two_things(clock: Clock) -> None:
    log = Log(clock)
    log.log.warning("lost")
    log.log.error("lost")
    assert log.lines() == ["WARN  lost", "ERROR lost"]


def test_decisions_are_reported_line_by_line_however_many_and_however_alike(clock: Clock) -> None:
    log = Log(clock)
    line = "BTCUSDT: P3.3 DENY plan 1a2b3c4d reason=no_position context=position_amt=0"
    for _ in range(1000):
        log.log.info(line)
    assert log.lines() == [f"INFO  {line}"] * 1000


def test_a_traceback_is_written_once(clock: Clock) -> None:
    log = Log(clock)
    for _ in range(3):
        try:
            raise OSError("no route")
        except OSError:
            log.log.exception("Actor failed", actor="user_stream")
    log.finish()
    written = log.lines()
    assert written[0] == "ERROR Actor failed actor=user_stream"
    assert sum("OSError: no route" in line for line in written) == 1
    assert written[-1] == "ERROR Actor failed actor=user_stream repeated=2 within_sec=0.0"


def test_at_the_end_nothing_stays_uncounted(clock: Clock) -> None:
    log = Log(clock, "json")
    for number in range(3):
        log.log.warning("lost", epoch=number)
    log.finish()
    log.finish()
    first, last = map(json.loads, log.lines())
    assert first == {"ts": NOW, "level": "warning", "message": "lost", "epoch": 0}
    assert last == {**first, "epoch": 2, "repeated": 2, "within_sec": 0.0}


def test_warnings_without_end_take_no_memory_without_end(clock: Clock) -> None:
    repetitions = Repetitions(clock)
    written = 0
    for number in range(5000):
        for _ in range(2):
            written += len(repetitions.admit("warning", {"event": f"w{'x' * (number % 50)}{number}y"}))
    assert written + len(repetitions.rest()) == 10_000
    assert len(repetitions.rest()) == 0
