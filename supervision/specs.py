"""Tree as data: children, their order, and the rules of restart and stop."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from supervision.backoff import Backoff
from supervision.heartbeat import Heartbeat
from supervision.intensity import Intensity

Restart = Literal["permanent", "transient"]
Strategy = Literal["one_for_one", "rest_for_one"]


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Child: an async callable that runs an actor until it ends.

    `start` is called for every incarnation, with that incarnation's `Heartbeat`. Incarnations must share
    nothing but the channels they were given.

    `restart`: a `permanent` child is restarted however it ends, since returning is a failure too; a
    `transient` one only after an exception, returning is its end.

    `stall_limit_sec`: longest time at work without a `beat()`. A twentieth of it later, in which a child goes
    on that was stopped with the process, the incarnation is cancelled and counts as failed.
    `None`: not watched.
    Only a child that awaits can be cancelled: one that blocks the whole loop (a synchronous stall) blocks its
    supervisor, too. That needs a watchdog outside the process.

    `stop_grace_sec`: time from `heartbeat.stopping` to the child's cancellation. A child that never reads
    `stopping` uses all of it: give it 0. A child that waits for a dependency at that moment has none.
    """

    name: str
    start: Callable[[Heartbeat], Awaitable[None]]
    stall_limit_sec: float | None
    restart: Restart = "permanent"
    stop_grace_sec: float = 1.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.restart not in ("permanent", "transient"):
            raise ValueError(f"{self.name}: unknown restart rule {self.restart!r}")
        if self.stall_limit_sec is not None and not self.stall_limit_sec > 0:
            raise ValueError(f"{self.name}: stall_limit_sec must be positive or None")
        if not self.stop_grace_sec >= 0:
            raise ValueError(f"{self.name}: stop_grace_sec must not be negative")


class SupervisorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Supervisor and its children, in the order of their start.

    `one_for_one`: a failed child is restarted alone. `rest_for_one`: those after it are stopped in reverse
    order first and started again after it, in order, because they depend on it.

    More failures than `intensity` allows make the supervisor itself fail. A nested supervisor ends, without
    failure, when all its children have ended.
    """

    name: str
    strategy: Strategy
    children: "tuple[ChildSpec | SupervisorSpec, ...]"
    intensity: Intensity
    backoff: Backoff

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.strategy not in ("one_for_one", "rest_for_one"):
            raise ValueError(f"{self.name}: unknown strategy {self.strategy!r}")
        names = [child.name for child in self.children]
        if not names:
            raise ValueError(f"{self.name}: a supervisor needs children")
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: names of children repeat: {names}")


def _check_name(name: str) -> None:
    if not name or "/" in name:
        raise ValueError(f"a name must not be empty nor contain '/', which joins names to paths: {name!r}")
