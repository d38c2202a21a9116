"""Trying again until something works, for what starts outside trio."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def patiently(
    attempt: Callable[[], T], *errors: type[Exception], within_sec: float = 20.0, every_sec: float = 0.01
) -> T:
    """What `attempt` returns once it raises none of `errors`; after `within_sec` its error is raised."""
    deadline_sec = time.monotonic() + within_sec
    while True:
        try:
            return attempt()
        except errors:
            if time.monotonic() > deadline_sec:
                raise
            time.sleep(every_sec)
