"""Where log lines go and what they look like.

A line of text reads `2026-11-21T08:00:00.123Z INFO  <message> key=value`, the message word for word. What
comes from outside (plan ids, fields, errors of servers) can neither break out of its line nor out of its
value, and what signs a request is masked wherever it stands.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from io import TextIOWrapper
from typing import Any, Final, Literal, TextIO

import structlog

from exchange.wire_logs import keep_addresses_out_of_logs

LogFormat = Literal["text", "json"]

_MASK: Final = "***"
_SIGNING = re.compile(r"\b(signature|listenKey|apiKey)(=|%3D)[^\s&\"'<>)]+", re.IGNORECASE)
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
_OWN_KEYS: Final = ("ts", "level", "message")


def configure(
    level: str,
    log_format: LogFormat,
    *,
    stream: TextIO | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> None:
    """Send everything that is logged to `stream` (default: standard output), a line at a time.

    `level` is the least level of our own lines; of libraries (`logging`) warnings and errors pass, if `level`
    lets them. `now_ms` is the wall clock, epoch milliseconds. Loggers bound before keep what they had.
    """
    out = sys.stdout if stream is None else stream
    if isinstance(out, TextIOWrapper):
        out.reconfigure(encoding="utf-8", line_buffering=True)
    as_text = _text_line(now_ms, colours=out.isatty())
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            as_text if log_format == "text" else _json_line(now_ms),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    # Whatever level the root gets later: on INFO these would write signed URLs.
    keep_addresses_out_of_logs()


class _Lines:
    """The last step of structlog: takes finished lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        # A log that nobody reads any more (closed pipe, full disk) must not stop a decision.
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
        words = [_iso(now_ms()), label, _printable(_plain(str(event.get("event", ""))))]
        for key, value in event.items():
            if key not in ("event", "exception"):
                words.append(f"{_bare_key(key)}={_text_value(_plain(value, key))}")
        traceback = str(_plain(event.get("exception", ""))).splitlines()
        # Marked lines: an error's text must not pass for a line of its own.
        return "\n".join([" ".join(words), *(f"    | {_printable(line)}" for line in traceback)])

    return render


def _json_line(now_ms: Callable[[], int]) -> Render:
    def render(_logger: Any, level: str, event: Mapping[str, Any]) -> str:
        line = {"ts": _iso(now_ms()), "level": level, "message": _plain(str(event.get("event", "")))}
        line |= {k: _plain(value, k) for k, value in event.items() if k != "event" and k not in _OWN_KEYS}
        # ASCII only: no reader of lines has to agree with us on what else ends one.
        return json.dumps(line, ensure_ascii=True, allow_nan=False)

    return render


def _iso(epoch_ms: int) -> str:
    at = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"


def _plain(value: Any, key: str = "") -> Any:
    """`value` in the types of JSON, with what signs requests masked."""
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
    return _SIGNING.sub(rf"\1\2{_MASK}", text)


def _text_value(plain: Any) -> str:
    if isinstance(plain, str):
        bare = _BARE_VALUE.fullmatch(plain) and plain.isprintable()
        return plain if bare else _printable(json.dumps(plain, ensure_ascii=False))
    return _printable(json.dumps(plain, ensure_ascii=False, separators=(",", ":")))


def _bare_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text_value(f"{key} ")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
