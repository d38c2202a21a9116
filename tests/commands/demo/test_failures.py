from __future__ import annotations

import errno

import httpx
import pytest
import trio

from commands.clients.embedded_redis import (
    RedisServerFailedError,
    RedisServerNotFoundError,
    RedisServerTooSlowError,
)
from commands.demo.children import ChildFailedError, ChildTooSlowError
from commands.demo.failures import DemoFailedError, DemoInconclusiveError, as_ending
from commands.demo.machine_load import Load
from store.errors import RedisFullError, StoreUnavailableError

_BUSY = Load(late_sec=2.0, waiting=0.9)


def _no_answer() -> StoreUnavailableError:
    error = StoreUnavailableError("no answer within 30 s")
    error.__cause__ = trio.TooSlowError()
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ChildTooSlowError("the daemon is not ready after 61 s"), "the daemon is not ready after 61 s"),
        (RedisServerTooSlowError("redis-server did not answer"), "redis-server did not answer"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (_no_answer(), "Redis: no answer within 30 s"),
    ],
)
def test_a_demo_that_lateness_ends_is_inconclusive_on_a_busy_machine_alone(
    error: Exception, sentence: str
) -> None:
    group = ExceptionGroup("", [ExceptionGroup("", [error])])
    failed = as_ending(group, Load())
    assert isinstance(failed, DemoFailedError) and str(failed) == sentence
    inconclusive = as_ending(group, _BUSY)
    assert isinstance(inconclusive, DemoInconclusiveError)
    assert str(inconclusive) == f"{sentence} ({_BUSY})"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ChildFailedError("the daemon was killed by SIGKILL"), "the daemon was killed by SIGKILL"),
        (RedisServerFailedError("redis-server ended with 1"), "redis-server ended with 1"),
        (RedisServerNotFoundError("there is none"), "there is none"),
        (RedisFullError("MISCONF"), "Redis: MISCONF"),
        (httpx.ConnectError("refused"), "refused"),
        (OSError(errno.ENOSPC, "No space left on device", "file"), "file: No space left on device"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
    ],
)
def test_whatever_else_ends_a_demo_fails_it_on_a_busy_machine_too(error: Exception, sentence: str) -> None:
    ending = as_ending(ExceptionGroup("", [error]), _BUSY)
    assert isinstance(ending, DemoFailedError)
    assert str(ending) == sentence


def test_a_part_that_has_ended_explains_the_errors_of_those_that_talked_to_it() -> None:
    group = ExceptionGroup("", [_no_answer(), ExceptionGroup("", [ChildFailedError("it was killed")])])
    assert str(as_ending(group, _BUSY)) == "it was killed"
