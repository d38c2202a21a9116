"""Trace of a run: a hash over everything, and text of its last part."""

from __future__ import annotations

import hashlib
import logging
from collections import deque

import structlog
import trio
from structlog.typing import EventDict, FilteringBoundLogger

_REMEMBERED = 3_000


class Trace:
    """Two runs of one seed have the same hash, or they were not the same."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._recent: deque[tuple[float, str]] = deque(maxlen=_REMEMBERED)
        self.steps = 0

    def note(self, what: str) -> None:
        """Something happened now. `what` must not hold addresses, nor the order of a set."""
        now_sec = trio.current_time()
        self.steps += 1
        self._hash.update(f"{now_sec!r} {what}\n".encode())
        self._recent.append((now_sec, what))

    def say(self, what: str) -> None:
        """Something for people to read, which is no part of the hash."""
        self._recent.append((trio.current_time(), what))

    def digest(self) -> str:
        """Return the hash of all that was noted so far."""
        return self._hash.hexdigest()

    def last(self, count: int) -> list[str]:
        """Return the newest notes, a line each."""
        return [f"{at_sec:11.3f}  {what}" for at_sec, what in list(self._recent)[-count:]]

    def logger(self, name: str, *, quiet: bool) -> FilteringBoundLogger:
        """Return a logger into the trace, as no part of the hash; `quiet`: one that logs nothing."""

        def say(_logger: object, _method: str, event: EventDict) -> str:
            event.pop("exc_info", None)
            self.say(f"        {name}: {event.pop('event')} {event or ''}")
            raise structlog.DropEvent

        level = structlog.make_filtering_bound_logger(logging.CRITICAL if quiet else logging.INFO)
        log: FilteringBoundLogger = structlog.wrap_logger(None, processors=[say], wrapper_class=level)
        return log
