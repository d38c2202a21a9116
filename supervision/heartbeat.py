"""Heartbeat of a child: its reports of progress to the supervisor."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import msgspec
import trio


class Wait(msgspec.Struct, frozen=True):
    """Dependency that a child waits for, and the begin of the wait on Trio's clock."""

    what: str
    since_sec: float


class Phase:
    """Phase of a child (idle, waiting, working), entered by `with`; created by `Heartbeat`."""

    __slots__ = ("_heartbeat", "at_work", "awaited", "since_sec")

    since_sec: float  # on trio's clock, once entered

    def __init__(self, heartbeat: "Heartbeat", at_work: bool, awaited: str | None) -> None:
        self._heartbeat = heartbeat
        self.at_work = at_work
        self.awaited = awaited

    def __enter__(self) -> Self:
        heartbeat = self._heartbeat
        heartbeat.beat()
        self.since_sec = heartbeat.beat_sec
        heartbeat.open_phases[self] = None
        return self

    def __exit__(self, *_: object) -> None:
        heartbeat = self._heartbeat
        del heartbeat.open_phases[self]
        heartbeat.beat()


class Heartbeat:
    """Heartbeat of one incarnation of a child; created inside a Trio run.

    A child is at work by default, and must then call `beat()` more often than its stall limit. In an idle or
    waiting phase it never counts as stalled:

        with heartbeat.idle():
            plan = await plans.receive()
        with heartbeat.waiting_for("Redis at localhost:6379"):
            await connection.restored()

    `stopping` is set when the child is to end: finish the present work and return, or be cancelled after the
    grace period of the child's spec.

    One heartbeat is for one task: of its open phases, the one entered last counts. A child of several tasks
    gives each a `task()` of its own, so that an idle task does not hide a stalled one.
    """

    __slots__ = ("_now_sec", "_spoken", "_tasks", "beat_sec", "open_phases", "stopping")

    def __init__(self, stopping: trio.Event | None = None) -> None:
        self.stopping = trio.Event() if stopping is None else stopping
        self._now_sec = trio.lowlevel.current_clock().current_time
        self._spoken = False
        self._tasks: dict[Heartbeat, None] = {}
        self.beat_sec = self._now_sec()
        self.open_phases: dict[Phase, None] = {}

    def beat(self) -> None:
        """Record progress. Cheap enough for every message."""
        self._spoken = True
        self.beat_sec = self._now_sec()

    def idle(self) -> Phase:
        """Return an idle phase, for `with`."""
        return Phase(self, False, None)

    def waiting_for(self, what: str) -> Phase:
        """Return a phase of waiting for a dependency, by its name for operators, for `with`."""
        return Phase(self, False, what)

    def working(self) -> Phase:
        """Return a working phase, for `with` inside an idle phase.

        with heartbeat.idle():
            async for plan in plans:
                with heartbeat.working():
                    ...
        """
        return Phase(self, True, None)

    @contextmanager
    def task(self) -> Iterator["Heartbeat"]:
        """Open a heartbeat for one of several tasks of the child, watched until the end of the block."""
        task = Heartbeat(self.stopping)
        self._tasks[task] = None
        try:
            yield task
        finally:
            del self._tasks[task]

    # Read by the supervisor.

    @property
    def spoken(self) -> bool:
        """True once the child has used its heartbeat, which ends its state `starting`."""
        return any(line._spoken for line in self._lines())

    def oldest_beat_at_work_sec(self) -> float | None:
        """Oldest last beat among the tasks at work (Trio's clock); `None` when none is at work."""
        return min((line.beat_sec for line in self._lines() if line._at_work), default=None)

    @property
    def awaiting(self) -> bool:
        """True while the child itself, its tasks aside, waits for a dependency."""
        return self._phase is not None and self._phase.awaited is not None

    def waits(self) -> list[Wait]:
        """Return the present waits for dependencies."""
        return [
            Wait(phase.awaited, phase.since_sec)
            for line in self._lines()
            if (phase := line._phase) is not None and phase.awaited is not None
        ]

    def _lines(self) -> Iterator["Heartbeat"]:
        yield self
        for task in self._tasks:
            yield from task._lines()

    @property
    def _phase(self) -> Phase | None:
        return next(reversed(self.open_phases), None)

    @property
    def _at_work(self) -> bool:
        phase = self._phase
        return phase is None or phase.at_work
