"""The log of the service as a whole: its start, what supervision does, many lines in one write."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from typing import Self

from structlog.typing import FilteringBoundLogger

from channels import Count, DropOldest, MetricEvent
from monitoring.metrics.catalogue import ACTOR_FAILURES
from settings import Loaded, describe
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


def version() -> str:
    """Return the version of the installed package, as pyproject.toml has it."""
    return metadata.version(_PACKAGE)


def build_tag() -> str:
    """Return the name of this build: the package and its version."""
    return f"{_PACKAGE}-{version()}"


def say_how_we_start(loaded: Loaded, log: FilteringBoundLogger) -> None:
    """The lines that operators look for first: the build, every setting and where it came from."""
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
    """Failures and restarts, with their reasons, in metrics and log."""
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
    """How an actor or a group failed, in as many words as a metric's label may have."""
    match failure:
        case Stalled():
            return "stalled"
        case Returned():
            return "returned"
        case RestartIntensityExceeded():
            return "gave_up"
    return "crashed"


class LogLines(str):
    """Messages of one moment and level. Each becomes a line of its own, as if it had been logged alone."""

    __slots__ = ("messages",)

    messages: tuple[str, ...]

    def __new__(cls, messages: Iterable[str]) -> Self:
        """As text, where somebody knows nothing of this type, a line each."""
        told = tuple(messages)
        lines = super().__new__(cls, "\n".join(told))
        lines.messages = told
        return lines
