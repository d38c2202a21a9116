"""The log of the service as a whole: its start, what supervision does, many lines in one write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from itertools import islice
from typing import NamedTuple, Self

from structlog.typing import FilteringBoundLogger

from channels import Count, DropOldest, MetricEvent
from monitoring.metrics.catalogue import ACTOR_FAILURES
from settings import Loaded, Settings, describe
from supervision import (
    ChildCrashed,
    ChildStalled,
    ChildStarted,
    Escalated,
    RestartIntensityExceeded,
    Returned,
    Stalled,
    SupervisionEvent,
)

_PACKAGE = "position-state-brain"
#: One fault can concern every symbol at once.
_MOST_LINES = 20


def version() -> str:
    """Return the version of the installed package, as pyproject.toml has it."""
    return metadata.version(_PACKAGE)


def build_tag() -> str:
    """Return the name of this build: the package and its version."""
    return f"{_PACKAGE}-{version()}"


def issuer(settings: Settings) -> str:
    """Return `issued_by` of permits: build and instance."""
    return f"{build_tag()} {settings.instance}"


def say_how_we_start(loaded: Loaded, log: FilteringBoundLogger) -> None:
    """Log the build, every setting with its origin, and the warnings about settings."""
    settings = loaded.settings
    log.info(f"P3.3_BUILD_TAG={build_tag()}")
    for line in describe(loaded):
        log.info(f"Setting {line}")
    for warning in loaded.warnings:
        log.warning(warning)
    log.info(
        f"P3.3 snapshot config: ONDEMAND={str(settings.ondemand_snapshot).lower()} "
        f"TTL={settings.ondemand_ttl_sec}s"
    )
    log.info(
        f"P3.3 candidate config: INTENT_WINDOW={settings.intent_window_sec}s, "
        f"TARGET_CYCLE={settings.target_cycle_sec}s, MIN_TOP_K={settings.min_top_k}"
    )


def report_supervision(
    metrics: DropOldest[MetricEvent], log: FilteringBoundLogger, event: SupervisionEvent
) -> None:
    """Count and log failures and restarts, with their reasons."""
    match event:
        case ChildStarted(restart_number=number) if number > 0:
            metrics.send(Count("p33_actor_restarts_total", (event.name,)))
            log.warning("Actor restarted", actor=event.name, restart=number)
        case ChildStalled(stall_limit_sec=limit_sec):
            log.error("Actor makes no progress", actor=event.name, limit_sec=limit_sec)
        case ChildCrashed():
            metrics.send(Count(ACTOR_FAILURES, (event.name, _kind(event.failure))))
            log.error(
                "Actor failed",
                actor=event.name,
                reason=event.reason,
                restart_in_sec=event.delay_sec,
                exc_info=event.failure,
            )
        case Escalated():
            log.critical("Restarting does not help", supervisor=event.name, reason=event.reason)


def _kind(failure: Exception) -> str:
    """Return the kind of a failure, as a metric label."""
    match failure:
        case Stalled():
            return "stalled"
        case Returned():
            return "returned"
        case RestartIntensityExceeded():
            return "gave_up"
    return "crashed"


class SymbolLines(NamedTuple):
    """Messages of a line about one symbol, and of the line about those for which there is no room."""

    one: str
    rest: str


def log_symbols(log: FilteringBoundLogger, lines: SymbolLines, why: Mapping[str, str | None]) -> None:
    """Warn of each symbol, with its reason if it has one; of more than 20 the rest is one line."""
    for symbol, reason in islice(why.items(), _MOST_LINES):
        log.warning(lines.one, symbol=symbol, **({} if reason is None else {"why": reason}))
    if len(why) > _MOST_LINES:
        log.warning(lines.rest, symbols=len(why) - _MOST_LINES)


class LogLines(str):
    """Messages of one moment and level. Each becomes a line of its own, as if it had been logged alone."""

    __slots__ = ("messages",)

    messages: tuple[str, ...]

    def __new__(cls, messages: Iterable[str]) -> Self:
        """Join `messages` with newlines, for handlers that do not know this type."""
        each = tuple(messages)
        lines = super().__new__(cls, "\n".join(each))
        lines.messages = each
        return lines
