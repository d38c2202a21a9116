from __future__ import annotations

import io
import json
import logging
import os
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from commands.run.logging_setup import LogFormat, configure
from monitoring.service_log import LogLines

NOW_MS = 1_795_248_000_123
NOW = "2026-11-21T08:00:00.123Z"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
keys = st.text(min_size=1, max_size=10).filter(
    lambda key: key not in ("event", "exc_info", "exception", "self")
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def log_to(stream: io.StringIO, log_format: LogFormat = "text", level: str = "INFO") -> Any:
    configure(level, log_format, stream=stream, now_ms=lambda: NOW_MS)
    return structlog.get_logger()


def test_a_message_stands_in_its_line_word_for_word() -> None:
    out = io.StringIO()
    log = log_to(out)
    log.info("BTCUSDT: P3.3 ALLOW plan 1a2b3c4d (safe_qty=0.028, exchange_amt=0.038)")
    log.info("Consumer group: p33 on quantum:stream:apply.plan")
    log.warning('100 % "of" \\ {it}', actor="ledger_writer", lag_sec=Decimal("0.0000001"), ids=[1, "b"])
    assert out.getvalue().splitlines() == [
        f"{NOW} INFO  BTCUSDT: P3.3 ALLOW plan 1a2b3c4d (safe_qty=0.028, exchange_amt=0.038)",
        f"{NOW} INFO  Consumer group: p33 on quantum:stream:apply.plan",
        f'{NOW} WARN  100 % "of" \\ {{it}} actor=ledger_writer lag_sec=0.0000001 ids=[1,"b"]',
    ]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_messages_logged_together_are_the_lines_that_they_would_be_alone(log_format: LogFormat) -> None:
    messages = ["BTCUSDT: one", "two\nlines", "signature=abc", ""]
    together, apart = io.StringIO(), io.StringIO()
    log_to(together, log_format).bind(actor="a b").info(LogLines(messages))
    log = log_to(apart, log_format).bind(actor="a b")
    for message in messages:
        log.info(message)
    assert together.getvalue() == apart.getvalue()
    assert together.getvalue().count("\n") == 4


def test_messages_logged_together_are_one_write() -> None:
    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    out = Counting()
    log_to(out).info(LogLines(["one", "two"]))
    assert out.writes == 1


def test_messages_logged_together_obey_the_level() -> None:
    out = io.StringIO()
    log_to(out, level="WARNING").info(LogLines(["one", "two"]))
    assert not out.getvalue()


def test_a_letter_that_only_passes_for_one_hides_no_signature() -> None:
    out = io.StringIO()
    log = log_to(out)
    log.info("GET /order?\u017fignature=abc")
    log.info("GET /order?SIGNATURE=def")
    assert "abc" not in out.getvalue()
    assert "def" not in out.getvalue()


def test_bound_values_are_on_every_line() -> None:
    out = io.StringIO()
    log_to(out).bind(actor="user_stream").error("lost")
    assert out.getvalue() == f"{NOW} ERROR lost actor=user_stream\n"


def test_json_is_one_object_a_line() -> None:
    out = io.StringIO()
    log_to(out, "json").info(
        "two\nlines", qty=Decimal("0.10"), age=1.5, none=None, nan=float("nan"), ts="mine"
    )
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue()) == {
        "ts": NOW,
        "level": "info",
        "message": "two\nlines",
        "qty": "0.10",
        "age": 1.5,
        "none": None,
        "nan": "nan",
    }


@given(st.text(), st.dictionaries(keys, anything, max_size=3))
def test_nothing_that_is_logged_can_break_out_of_its_line(message: str, values: dict[str, Any]) -> None:
    out = io.StringIO()
    log_to(out).info(message, **values)
    line = out.getvalue()
    assert line.startswith(f"{NOW} INFO  ")
    assert line.endswith("\n")
    assert line[:-1].isprintable()

    as_json = io.StringIO()
    log_to(as_json, "json").info(message, **values)
    assert as_json.getvalue().isascii()
    assert as_json.getvalue().count("\n") == 1
    assert json.loads(as_json.getvalue())["ts"] == NOW


def test_a_hostile_plan_id_forges_neither_a_line_nor_a_value_nor_a_colour() -> None:
    out = io.StringIO()
    hostile = f"x\n{NOW} INFO  BTCUSDT: P3.3 ALLOW plan 1\r\x1b[2K\u2028 reason=sanity_checks_passed"
    log_to(out).info(f"BTCUSDT: P3.3 DENY plan {hostile}", plan_id=hostile, reason="malformed_plan")
    line = out.getvalue()
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    # As a value it stands in quotes, so what looks like a key inside is none.
    assert line.endswith(' reason=sanity_checks_passed" reason=malformed_plan\n')


def test_an_errors_text_does_not_pass_for_a_line() -> None:
    out = io.StringIO()
    log = log_to(out)
    try:
        raise ValueError(f"bad\n{NOW} INFO  forged\x1b[31m")
    except ValueError:
        log.exception("restarting", actor="metrics")
    first, *rest = out.getvalue().splitlines()
    assert first == f"{NOW} ERROR restarting actor=metrics"
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)
    assert "    | ValueError: bad" in rest


@pytest.mark.parametrize(
    ("level", "expected"),
    [("DEBUG", "DIWE"), ("INFO", "IWE"), ("WARNING", "WE"), ("ERROR", "E")],
)
def test_only_lines_of_the_level_and_above_are_printed(level: str, expected: str) -> None:
    out = io.StringIO()
    log = log_to(out, level=level)
    for each in (log.debug, log.info, log.warning, log.error):
        each("x")
    assert "".join(line.split()[1][0] for line in out.getvalue().splitlines()) == expected


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_libraries_report_warnings_through_the_same_output(log_format: LogFormat) -> None:
    out = io.StringIO()
    log_to(out, log_format, level="DEBUG")
    for name in ("httpx", "httpcore.http11", "trio-websocket", "hypercorn.error", "asyncio"):
        logging.getLogger(name).debug("debug of %s", name)
        logging.getLogger(name).info("info of %s", name)
        logging.getLogger(name).warning("warning of %s", name)
    warnings.warn("old ways", stacklevel=1)
    lines = out.getvalue().splitlines()
    assert len(lines) == 6
    assert all("warning of" in line or "old ways" in line for line in lines)
    assert any("hypercorn.error" in line for line in lines)


def test_a_librarys_broken_log_call_is_still_a_line() -> None:
    out = io.StringIO()
    log_to(out)
    logging.getLogger("asyncio").warning("%d wheels", "no")
    logging.getLogger("asyncio").log(65, "higher than critical")
    assert out.getvalue() == (
        f"{NOW} WARN  %d wheels logger=asyncio\n{NOW} FATAL higher than critical logger=asyncio\n"
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_signature_of_a_request_appears_nowhere(log_format: LogFormat) -> None:
    out = io.StringIO()
    log = log_to(out, log_format, level="DEBUG")
    url = "https://127.0.0.1/fapi/v2/positionRisk?timestamp=1&signature=5ec2e7f00d"
    logging.getLogger().setLevel(logging.DEBUG)
    transport = httpx.MockTransport(lambda _request: httpx.Response(401))
    with httpx.Client(transport=transport) as client:
        response = client.get(url)
    assert out.getvalue() == ""
    try:
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        log.exception("refused", url=url, error=error, request={"signature": "5ec2e7f00d"})
    log.info("stream at wss://127.0.0.1/private/ws?listenKey=5ec2e7f00d", listen_key="5ec2e7f00d")
    assert "5ec2e7f00d" not in out.getvalue()
    assert "signature=***" in out.getvalue()
    assert "timestamp=1" in out.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_that_the_journal_reads_begin_with_their_priority(
    tmp_path: Path, log_format: LogFormat
) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "file").open("w") as file:
        device, inode = (described := os.fstat(journal.fileno())).st_dev, described.st_ino
        for stream in (journal, file):
            configure("DEBUG", log_format, stream=stream, journal_stream=f"{device}:{inode}")
            log = structlog.get_logger()
            for each in (log.debug, log.info, log.warning, log.error, log.critical):
                each("x")
            try:
                raise ValueError("bad\nworse")
            except ValueError:
                log.exception("restarting")
    shown = (tmp_path / "journal").read_text().splitlines()
    elsewhere = (tmp_path / "file").read_text().splitlines()
    if log_format == "json":
        assert all(line.startswith("{") for line in shown)
    else:
        assert [line[:3] for line in shown[:6]] == ["<7>", "<6>", "<4>", "<3>", "<2>", "<3>"]
        assert len(shown) > 6 and all(line.startswith("<3>    | ") for line in shown[6:])
    assert all(not line.startswith("<") for line in elsewhere)


@pytest.mark.parametrize("journal_stream", ["", "8:1", "nonsense"])
def test_a_journal_that_reads_something_else_gets_no_priorities(tmp_path: Path, journal_stream: str) -> None:
    with (tmp_path / "file").open("w") as file:
        configure("INFO", "text", stream=file, journal_stream=journal_stream)
        structlog.get_logger().info("x")
    assert (tmp_path / "file").read_text().endswith("Z INFO  x\n")


def test_colours_are_for_terminals() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    log_to(terminal).error("lost")
    log_to(pipe).error("lost")
    assert "\x1b[31mERROR\x1b[0m lost" in terminal.getvalue()
    assert "\x1b" not in pipe.getvalue()


def test_a_log_that_is_not_read_stops_nothing() -> None:
    log_to(Closed()).error("into the void")
    gone = io.StringIO()
    log = log_to(gone)
    gone.close()
    log.error("into the void")


def test_text_that_is_no_unicode_is_printed_all_the_same() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1")
    configure("INFO", "text", stream=stream, now_ms=lambda: NOW_MS)
    structlog.get_logger().info("USDⓈ-M \udc80", ok=True)
    assert raw.getvalue().decode() == f"{NOW} INFO  USDⓈ-M \\udc80 ok=true\n"


def test_standard_output_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "text")
    structlog.get_logger().info("P3.3_BUILD_TAG=test")
    captured = capsys.readouterr()
    assert captured.out.endswith("Z INFO  P3.3_BUILD_TAG=test\n")
    assert captured.err == ""
