"""What a tree tells the world: events as they happen, and its state when asked."""

from typing import Literal, TypeAlias

import msgspec


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is the names from the root down, joined by '/'."""

    path: str

    @property
    def name(self) -> str:
        """The last name of the path: the child's own."""
        return self.path.rpartition("/")[2]


class ChildStarted(_Event, frozen=True, kw_only=True):
    """An incarnation begins. It ends with exactly one `ChildCrashed` or `ChildStopped`.

    `restart_number` is 0 for the first, and counts all later ones, those started again because of a failed
    sibling included.
    """

    restart_number: int


class ChildCrashed(_Event, frozen=True, kw_only=True):
    """An incarnation failed: it raised, stalled (`reason` is "stalled"), or returned though permanent.

    `delay_sec` is the back-off before the restart `restart_number`; both are `None` when none follows, for
    the tree is stopping or the failure escalates. `failure` is for a log's traceback; do not keep it, for it
    holds the frames of the dead incarnation.
    """

    reason: str
    exception_type: str
    restart_number: int | None
    delay_sec: float | None
    failure: Exception


class ChildStalled(_Event, frozen=True, kw_only=True):
    """An incarnation was at work for `stall_limit_sec` without a beat, and is being cancelled.

    Its `ChildCrashed` follows once it has ended.
    """

    stall_limit_sec: float


StopReason: TypeAlias = Literal["returned", "asked", "out of grace", "cancelled"]


class ChildStopped(_Event, frozen=True, kw_only=True):
    """An incarnation ended without failing.

    `returned`: the end of a transient child. `asked`: it followed `heartbeat.stopping`. `out of grace`: it
    did not in time, or waited for a dependency, and was cancelled. `cancelled`: the tree, or a supervisor
    above, was ended at once.
    """

    reason: StopReason


class Escalated(_Event, frozen=True, kw_only=True):
    """The supervisor `path` gives up: `child` failed more often than its intensity allows."""

    child: str
    reason: str


SupervisionEvent: TypeAlias = ChildStarted | ChildCrashed | ChildStalled | ChildStopped | Escalated

State: TypeAlias = Literal["starting", "running", "waiting", "backing_off", "stopping", "stopped"]


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One child or supervisor as it is now.

    A child is `starting` until it first uses its heartbeat. `waiting_for` names its dependencies.
    `last_reason`: its last failure, or "ended with NAME" where that of another ended it.
    `since_sec`: running and starting, the age of this incarnation; in every other state, how long it has been
    in that state, monotonic; `None` before the first start.
    """

    name: str
    state: State
    waiting_for: tuple[str, ...]
    restarts: int
    last_reason: str | None
    since_sec: float | None
    children: "tuple[NodeStatus, ...]"
