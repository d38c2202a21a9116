"""Events of a tree, as they happen, and its state on request."""

from typing import Literal, TypeAlias

import msgspec


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """Event of a node; `path` is the names from the root down, joined by '/'."""

    path: str

    @property
    def name(self) -> str:
        """Name of the child, the last one of the path."""
        return self.path.rpartition("/")[2]


class ChildStarted(_Event, frozen=True, kw_only=True):
    """Begin of an incarnation. It ends with exactly one `ChildCrashed` or `ChildStopped`.

    `restart_number` is 0 for the first, and counts all later ones, those started again because of a failed
    sibling included.
    """

    restart_number: int


class ChildCrashed(_Event, frozen=True, kw_only=True):
    """Failure of an incarnation: it raised, stalled (`reason` "stalled"), or returned though permanent.

    `delay_sec` is the back-off before the restart `restart_number`; both are `None` when none follows,
    because the tree is stopping or the failure escalates. `failure` is for a log's traceback; do not keep it:
    it references the frames of the dead incarnation.
    """

    reason: str
    exception_type: str
    restart_number: int | None
    delay_sec: float | None
    failure: Exception


class ChildStalled(_Event, frozen=True, kw_only=True):
    """Stall: an incarnation was at work for `stall_limit_sec` without a beat, and is being cancelled.

    Its `ChildCrashed` follows once it has ended.
    """

    stall_limit_sec: float


StopReason: TypeAlias = Literal["returned", "asked", "out of grace", "cancelled"]


class ChildStopped(_Event, frozen=True, kw_only=True):
    """End of an incarnation without failure.

    `returned`: the end of a transient child. `asked`: it followed `heartbeat.stopping`. `out of grace`: it
    did not in time, or waited for a dependency, and was cancelled. `cancelled`: the tree, or a supervisor
    above, was ended at once.
    """

    reason: StopReason


class Escalated(_Event, frozen=True, kw_only=True):
    """Failure of the supervisor `path`: `child` failed more often than its intensity allows."""

    child: str
    reason: str


SupervisionEvent: TypeAlias = ChildStarted | ChildCrashed | ChildStalled | ChildStopped | Escalated

State: TypeAlias = Literal["starting", "running", "waiting", "backing_off", "stopping", "stopped"]


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Present state of one child or supervisor.

    A child is `starting` until it first uses its heartbeat. `waiting_for` names its dependencies.
    `last_reason`: its last failure, or "ended with NAME" where that of another ended it.
    `since_sec`: running and starting, the age of this incarnation; in every other state, how long it has been
    in that state, monotonic; `None` before the first start. `recent_failures`: failures of a supervisor's
    children within its window; with one more than `failures_allowed` it fails itself. That is `None` for a
    child, and for a supervisor without a limit.
    """

    name: str
    state: State
    waiting_for: tuple[str, ...]
    restarts: int
    last_reason: str | None
    since_sec: float | None
    children: "tuple[NodeStatus, ...]"
    recent_failures: int = 0
    failures_allowed: int | None = None
