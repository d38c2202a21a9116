"""Configuration of the log: output and format.

A line of text reads `2026-11-21T08:00:00.123Z INFO  <message> key=value`, the message word for word. What
comes from outside (plan ids, fields, errors of servers) can neither break out of its line nor out of its
value, and what signs a request is masked wherever it stands. Read by the journal, each line begins with its
priority (`<4>`). A repeated warning is counted, and written again with its count.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from io import TextIOWrapper
from typing import Any, Final, Literal, TextIO

import structlog

from commands.run.log_repetition import Repetitions
from commands.run.queued_output import QueuedOutput
from exchange.wire_logs import keep_addresses_out_of_logs
from explanation.printable import printable
from monitoring.service_log import LogLines

LogFormat = Literal["text", "json"]

_MASK: Final = "***"
_SIGNING = re.compile(r"\b(signature|listenKey|apiKey)(=|%3D)[^\s&\"'<>)]+", re.IGNORECASE)
#: One of them is in whatever ASCII text `_SIGNING` matches, in small letters: quicker to look for.
_SIGNING_WORDS: Final = ("signature", "listenkey", "apikey")
_SIGNING_KEYS: Final = frozenset({"signature", "listenkey", "listen_key", "apikey", "api_key"})
_BARE_VALUE = re.compile(r"""[^\s"'=\\]+""")
_BARE_KEY = re.compile(r"[A-Za-z0-9_.-]+")
_LABELS: Final = {
    "debug": "DEBUG",
    "info": "INFO ",
    "warning": "WARN ",
    "error": "ERROR",
    "critical": "FATAL",
}
_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31;1m"}
_COLOUR_END: Final = "\x1b[0m"
#: As syslog(3) numbers them; the journal takes them off again.
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_OWN_KEYS: Final = ("ts", "level", "message")
_GAP: Final = "Log lines dropped: they were not read in time"


def configure(
    level: str,
    log_format: LogFormat,
    *,
    stream: TextIO | QueuedOutput | None = None,
    journal_stream: str = "",
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    now_sec: Callable[[], float] = time.monotonic,
) -> Callable[[], None]:
    """Send everything that is logged to `stream` (default: standard output), a line at a time.

    `level` is the least level of our own lines; of libraries (`logging`) warnings and errors pass, if `level`
    lets them. `journal_stream`: systemd's `JOURNAL_STREAM`, which names what the journal reads. `now_ms` is
    the wall clock, epoch milliseconds, `now_sec` a monotonic one. Loggers bound before keep what they had.

    Returns what is to be called at the end, so that repetitions not yet counted in the log are.
    """
    out = sys.stdout if stream is None else stream
    if isinstance(out, TextIOWrapper):
        out.reconfigure(encoding="utf-8", line_buffering=True)
    if log_format == "json":
        render = _json_line(now_ms)
    elif _is_read_by_journal(out, journal_stream):
        render = _with_priority(_text_line(now_ms, colours=False))
    else:
        render = _text_line(now_ms, colours=out.isatty())
    if isinstance(out, QueuedOutput):
        out.gap_line = lambda lines: render(None, "warning", {"event": _GAP, "lines": lines})
    repetitions, lines = Repetitions(now_sec), _Lines(out)

    def write(logger: Any, level: str, event: Mapping[str, Any]) -> str:
        admitted = repetitions.admit(level, event)
        if not admitted:
            raise structlog.DropEvent
        return "\n".join([render(logger, *each) for each in admitted])

    def write_the_rest() -> None:
        for each in repetitions.rest():
            lines.msg(render(None, *each))

    structlog.configure(
        processors=[structlog.processors.format_exc_info, write],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    # Whatever level the root gets later: on INFO these would write signed URLs.
    keep_addresses_out_of_logs()
    return write_the_rest


class _Lines:
    """The last step of structlog: takes finished lines."""

    def __init__(self, stream: TextIO | QueuedOutput) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        # A log whose output fails (closed pipe, full disk) must not stop a decision.
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = msg


class _ToStructlog(logging.Handler):
    """Hands the records of libraries to structlog, so that there is one output in one format."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # A library's mistake in its own log call is not to become an error of the code that called it.
            message = str(record.msg)
        structlog.get_logger().log(level, message, logger=record.name, exc_info=record.exc_info or None)


Render = Callable[[Any, str, Mapping[str, Any]], str]


def _text_line(now_ms: Callable[[], int], *, colours: bool) -> Render:
    def render(_logger: Any, level: str, event: Mapping[str, Any]) -> str:
        label = _LABELS.get(level, level.upper())
        if colours and level in _COLOURS:
            label = f"{_COLOURS[level]}{label}{_COLOUR_END}"
        head = f"{_iso(now_ms())} {label} "
        tail = ""
        for key, value in event.items():
            if key not in ("event", "exception"):
                tail += f" {_bare_key(key)}={_text_value(_plain(value, key))}"
        lines = [f"{head}{printable(message)}{tail}" for message in _messages(event)]
        if "exception" in event:
            # Marked lines: an error's text must not pass for a line of its own.
            traceback = str(_plain(event["exception"])).splitlines()
            lines += [f"    | {printable(line)}" for line in traceback]
        return "\n".join(lines)

    return render


def _json_line(now_ms: Callable[[], int]) -> Render:
    def render(_logger: Any, level: str, event: Mapping[str, Any]) -> str:
        ts = _iso(now_ms())
        rest = {k: _plain(value, k) for k, value in event.items() if k != "event" and k not in _OWN_KEYS}
        lines = [{"ts": ts, "level": level, "message": message} | rest for message in _messages(event)]
        # ASCII only: no reader of lines has to agree with us on what else ends one.
        return "\n".join([json.dumps(line, ensure_ascii=True, allow_nan=False) for line in lines])

    return render


def _messages(event: Mapping[str, Any]) -> Sequence[str]:
    """Return the messages of one log call, masked: one, or several of one moment, which are a line each."""
    message = event.get("event", "")
    if not isinstance(message, LogLines):
        return (_plain(str(message)),)
    together = str(message)
    # Usually there is nothing to mask in any of them.
    return message.messages if _plain(together) is together else [_plain(each) for each in message.messages]


def _with_priority(render: Render) -> Render:
    def render_for_journal(logger: Any, level: str, event: Mapping[str, Any]) -> str:
        # Each line of a traceback is an entry of its own.
        lines = render(logger, level, event).split("\n")
        return "\n".join(f"<{_PRIORITIES.get(level, 6)}>{line}" for line in lines)

    return render_for_journal


def _is_read_by_journal(stream: TextIO | QueuedOutput, journal_stream: str) -> bool:
    """Return whether `journal_stream`, device and inode, is `stream`: a child's output may go elsewhere."""
    try:
        described = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal_stream == f"{described.st_dev}:{described.st_ino}"


def _iso(epoch_ms: int) -> str:
    return f"{_iso_second(epoch_ms // 1000)}.{epoch_ms % 1000:03d}Z"


@lru_cache(maxsize=2)
def _iso_second(epoch_sec: int) -> str:
    """Format the second; cached, since many lines a second are written."""
    return f"{datetime.fromtimestamp(epoch_sec, UTC):%Y-%m-%dT%H:%M:%S}"


def _plain(value: Any, key: str = "") -> Any:
    """Convert `value` to the types of JSON, with secrets of signed requests masked."""
    if key.lower() in _SIGNING_KEYS:
        return _MASK
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    if text.isascii():
        lowered = text.lower()
        if not any(word in lowered for word in _SIGNING_WORDS):
            return text
    return _SIGNING.sub(rf"\1\2{_MASK}", text)


def _text_value(plain: Any) -> str:
    if isinstance(plain, str):
        bare = _BARE_VALUE.fullmatch(plain) and plain.isprintable()
        return plain if bare else printable(json.dumps(plain, ensure_ascii=False))
    return printable(json.dumps(plain, ensure_ascii=False, separators=(",", ":")))


def _bare_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text_value(f"{key} ")
