"""Children and groups of the tree, and their rules of restart.

An actor that fails is restarted alone (in `presence`: with those after it), after 20 ms, twice as long each
time, 5 s at most (`presence`: 1 s). A group fails at the 11th failure of its actors, added up, within 10
minutes (`snapshots`: at the third more than there are shards, if that is more); its actors are restarted
together. The groups `roles` and `notices` never fail: the guard lives on beside what cannot work. The process
ends at the third failure of groups, added up, within 30 minutes; systemd starts it again after 1 s.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

from supervision import Backoff, ChildSpec, Heartbeat, Intensity, SupervisorSpec
from supervision.specs import Strategy

#: An actor without progress for so long is cancelled and restarted.
STALL_LIMIT_SEC = 10.0
#: A restart waits 20 ms, twice as long each time, 5 s at most (up to 20 % less); 30 s of work begin anew.
BACKOFF = Backoff(initial_sec=0.02, maximum_sec=5.0)
#: Reached within 20 s where an actor fails at once each time.
GROUP_RESTARTS = 10
#: A group with so many never fails.
UNLIMITED = sys.maxsize
_GROUP_WINDOW_SEC = 600.0


class Actor(Protocol):
    """Any actor."""

    async def run(self, heartbeat: Heartbeat) -> None: ...


def actor(
    name: str,
    make: Callable[[], Actor],
    *,
    after: Callable[[Heartbeat], Awaitable[object]] | None = None,
    grace_sec: float = 0.0,
) -> ChildSpec:
    """Return a permanent child: an actor that returns has failed, unless it was asked to stop.

    Each incarnation waits for `after`, if given, and is then a new actor out of `make`.
    """

    async def start(heartbeat: Heartbeat) -> None:
        if after is not None:
            await after(heartbeat)
        await make().run(heartbeat)

    return ChildSpec(name=name, start=start, stall_limit_sec=STALL_LIMIT_SEC, stop_grace_sec=grace_sec)


def group(
    name: str,
    *actors: ChildSpec,
    strategy: Strategy = "one_for_one",
    restarts: int = GROUP_RESTARTS,
    backoff: Backoff = BACKOFF,
) -> SupervisorSpec:
    """Return a group: its actors are restarted by one rule, and all together when that does not help."""
    return SupervisorSpec(
        name=name,
        strategy=strategy,
        intensity=Intensity(restarts=restarts, within_sec=_GROUP_WINDOW_SEC),
        backoff=backoff,
        children=actors,
    )
