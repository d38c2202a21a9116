"""Waiting for a dependency, named in the log and on the page: the lease, Redis."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from channels import LatestValue, Lease
from store.errors import WAITED_OUT, WrongRightsError, WrongTypeError
from supervision import Heartbeat

T = TypeVar("T")


async def lease_fence(lease: LatestValue[Lease], heartbeat: Heartbeat, trouble: RedisTrouble) -> str:
    """The fencing token of our lease, once it is ours. Until then `trouble` is no trouble of this actor."""
    while lease.value is None or lease.value.fence is None:
        trouble.over()
        holder = f", held by {lease.value.holder}" if lease.value else ""
        with heartbeat.waiting_for(f"the lease{holder}"):
            await lease.changed()
    return lease.value.fence


async def present(channel: LatestValue[T], what: str, heartbeat: Heartbeat) -> T:
    """The channel's value, once there is one."""
    if channel.value is None:
        with heartbeat.waiting_for(what):
            return await channel.get()
    return channel.value


#: Nothing that an actor could do differently would help: Redis has to come back, or its keys to be mended.
REDIS_TROUBLE = WAITED_OUT

#: Errors that one actor may meet alone. Of outages `lease_holder` speaks for all.
_FOR_OPERATORS = (WrongRightsError, WrongTypeError)
_LONGEST = 160
_LOG_AGAIN_SEC = 60.0


def told(redis: str, trouble: BaseException) -> str:
    """`redis` (`Redis at …`) and what it says, or what is said of it: of a group, the first that is in it."""
    return f"{redis}: {str(_first(trouble))[:_LONGEST]}"


class RedisTrouble:
    """An actor's wait for Redis: shown from the first failure until a success, attempts included, and logged.

    An attempt that is under way must not look as if Redis served again.
    """

    def __init__(self, redis: str, log: FilteringBoundLogger) -> None:
        """`redis`: `Redis at …`."""
        self._redis = redis
        self._log = log
        self._logged = ""
        self._logged_sec = 0.0
        self._shown = ExitStack()
        self.text = ""

    def begin(self, trouble: BaseException, heartbeat: Heartbeat) -> None:
        """Show what Redis says; log it, once a minute, where an operator has to repair a right or a key."""
        text = told(self._redis, trouble)
        if text != self.text:
            self.over()
            strand = self._shown.enter_context(heartbeat.strand())
            self._shown.enter_context(strand.waiting_for(text))
            self.text = text
        if isinstance(_first(trouble), _FOR_OPERATORS):
            now_sec = trio.current_time()
            if self.text != self._logged or now_sec - self._logged_sec >= _LOG_AGAIN_SEC:
                self._logged, self._logged_sec = self.text, now_sec
                self._log.warning(f"Waiting for {self.text}")

    def over(self) -> None:
        """Redis serves this actor again."""
        self._shown.close()
        self.text = ""


def _first(trouble: BaseException) -> BaseException:
    while isinstance(trouble, BaseExceptionGroup):
        trouble = trouble.exceptions[0]
    return trouble
