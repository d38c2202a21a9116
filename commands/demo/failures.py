"""Errors that end a demo before its verdict, and what lateness alone can cause among them."""

from __future__ import annotations

import httpx
import trio

from brain.error_groups import each_error
from commands.clients.embedded_redis import (
    RedisServerFailedError,
    RedisServerNotFoundError,
    RedisServerTooSlowError,
)
from commands.demo.children import ChildFailedError, ChildTooSlowError
from commands.demo.machine_load import Load
from store.errors import StoreError

#: A part could not be started, or has ended.
_PART_FAILED = (ChildFailedError, RedisServerFailedError, RedisServerNotFoundError)
#: What this machine can do to a demo. OSError: no space, no processes, no files.
FAILURES = (*_PART_FAILED, httpx.HTTPError, StoreError, OSError)


class DemoFailedError(Exception):
    """The demo could not be run to its end."""


class DemoInconclusiveError(Exception):
    """The demo was not run to its end, because this machine was too busy."""


def as_ending(error: BaseException, load: Load) -> DemoFailedError | DemoInconclusiveError:
    """Return the error to end with for a group of `FAILURES`, in one sentence.

    A part that has ended explains the errors of those that talked to it.
    """
    causes = each_error(error)
    cause = next((one for one in causes if isinstance(one, _PART_FAILED)), causes[0])
    if _is_late(cause) and load.is_too_busy:
        return DemoInconclusiveError(f"{_sentence(cause)} ({load})")
    return DemoFailedError(_sentence(cause))


def _is_late(error: BaseException) -> bool:
    late = (ChildTooSlowError, RedisServerTooSlowError, httpx.TimeoutException)
    return isinstance(error, late) or isinstance(error.__cause__, trio.TooSlowError)


def _sentence(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or text}"
    return f"Redis: {text}" if isinstance(error, StoreError) else text
