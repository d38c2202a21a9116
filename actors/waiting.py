"""Waits of actors for a dependency, which log and page name: the lease, Redis, a channel's first value."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from brain.identifiers import FencingToken
from channels import LatestValue, Lease
from store.errors import RETRYABLE_ERRORS, WrongRightsError, WrongTypeError
from supervision import Heartbeat

T = TypeVar("T")


async def lease_fence(lease: LatestValue[Lease], heartbeat: Heartbeat, trouble: RedisTrouble) -> FencingToken:
    """Wait for the lease and return its fencing token. Ends the wait for Redis, which a standby has not."""
    while lease.value is None or lease.value.fence is None:
        trouble.over()
        holder = f", held by {lease.value.holder}" if lease.value else ""
        with heartbeat.waiting_for(f"the lease{holder}"):
            await lease.changed()
    return lease.value.fence


async def present(channel: LatestValue[T], what: str, heartbeat: Heartbeat) -> T:
    """Wait for the channel's first value and return it."""
    if channel.value is None:
        with heartbeat.waiting_for(what):
            return await channel.get()
    return channel.value


#: Errors that end by themselves, or once an operator has repaired a key or a right: try again.
RETRYABLE_REDIS_ERRORS = RETRYABLE_ERRORS

#: Errors that one actor may meet alone, and logs. Outages are logged by `lease_holder`.
_FOR_OPERATORS = (WrongRightsError, WrongTypeError)
_LONGEST = 160
_LOG_AGAIN_SEC = 60.0


def describe_error(redis: str, trouble: BaseException) -> str:
    """Return `redis` (`Redis at …`) with the error's text; of a group, the first error's."""
    return f"{redis}: {str(_first(trouble))[:_LONGEST]}"


class RedisTrouble:
    """An actor's wait for Redis, shown from the first failure until a success, during attempts too."""

    def __init__(self, redis: str, log: FilteringBoundLogger) -> None:
        """`redis`: `Redis at …`."""
        self._redis = redis
        self._log = log
        self._logged = ""
        self._logged_sec = 0.0
        self._shown = ExitStack()
        self.text = ""

    def begin(self, trouble: BaseException, heartbeat: Heartbeat) -> None:
        """Show the error; log it, once a minute, where an operator has to repair a right or a key."""
        text = describe_error(self._redis, trouble)
        if text != self.text:
            self.over()
            task = self._shown.enter_context(heartbeat.task())
            self._shown.enter_context(task.waiting_for(text))
            self.text = text
        if isinstance(_first(trouble), _FOR_OPERATORS):
            now_sec = trio.current_time()
            if self.text != self._logged or now_sec - self._logged_sec >= _LOG_AGAIN_SEC:
                self._logged, self._logged_sec = self.text, now_sec
                self._log.warning(f"Waiting for {self.text}")

    def over(self) -> None:
        """End the wait: Redis serves this actor again."""
        self._shown.close()
        self.text = ""


def _first(trouble: BaseException) -> BaseException:
    while isinstance(trouble, BaseExceptionGroup):
        trouble = trouble.exceptions[0]
    return trouble
