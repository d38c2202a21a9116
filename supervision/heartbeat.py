"""How a child shows that it makes progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import msgspec
import trio


class Wait(msgspec.Struct, frozen=True):
    """What a child waits for, and since when on trio's clock."""

    what: str
    since_sec: float


class Phase:
    """A stretch of a child's life, entered and left by `with`; made by `Heartbeat`."""

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
    """Handed to each incarnation of a child; must be made inside a trio run.

    A child is at work unless it says otherwise, and at work it must call `beat()` more often than its stall
    limit. Where it has nothing to do, or waits for a dependency, it says so, and is never taken for stalled:

        with heartbeat.idle():
            plan = await plans.receive()
        with heartbeat.waiting_for("Redis at localhost:6379"):
            await connection.restored()

    `stopping` is set when the child is asked to end: finish what is in hand and return, or be cancelled after
    the grace that the child's spec gives.

    One heartbeat speaks for one line of work: of the phases that are open, the one entered last counts. A
    child of several tasks gives each a `strand()` of its own, or an idle one would hide a stalled one.
    """

    __slots__ = ("_now_sec", "_spoken", "_strands", "beat_sec", "open_phases", "stopping")

    def __init__(self, stopping: trio.Event | None = None) -> None:
        self.stopping = trio.Event() if stopping is None else stopping
        self._now_sec = trio.lowlevel.current_clock().current_time
        self._spoken = False
        self._strands: dict[Heartbeat, None] = {}
        self.beat_sec = self._now_sec()
        self.open_phases: dict[Phase, None] = {}

    def beat(self) -> None:
        """Progress was made. Cheap enough for every message."""
        self._spoken = True
        self.beat_sec = self._now_sec()

    def idle(self) -> Phase:
        """For `with`: there is no work."""
        return Phase(self, False, None)

    def waiting_for(self, what: str) -> Phase:
        """For `with`: work has to wait for a dependency, named as an operator would know it."""
        return Phase(self, False, what)

    def working(self) -> Phase:
        """For `with`, inside an idle phase: work until the end of the block.

        with heartbeat.idle():
            async for plan in plans:
                with heartbeat.working():
                    ...
        """
        return Phase(self, True, None)

    @contextmanager
    def strand(self) -> Iterator["Heartbeat"]:
        """A heartbeat for one of several tasks of the child, watched until the end of the block."""
        strand = Heartbeat(self.stopping)
        self._strands[strand] = None
        try:
            yield strand
        finally:
            del self._strands[strand]

    # What follows is asked by the supervisor.

    @property
    def spoken(self) -> bool:
        """Whether the child has used its heartbeat at all, which ends its starting."""
        return any(line._spoken for line in self._lines())

    def oldest_beat_at_work_sec(self) -> float | None:
        """The last beat of the line that is at work without one for longest; `None` when none is at work."""
        return min((line.beat_sec for line in self._lines() if line._at_work), default=None)

    @property
    def awaiting(self) -> bool:
        """Whether the child's own line of work, strands aside, waits for a dependency."""
        return self._phase is not None and self._phase.awaited is not None

    def waits(self) -> list[Wait]:
        """The dependencies waited for now."""
        return [
            Wait(phase.awaited, phase.since_sec)
            for line in self._lines()
            if (phase := line._phase) is not None and phase.awaited is not None
        ]

    def _lines(self) -> Iterator["Heartbeat"]:
        yield self
        for strand in self._strands:
            yield from strand._lines()

    @property
    def _phase(self) -> Phase | None:
        return next(reversed(self.open_phases), None)

    @property
    def _at_work(self) -> bool:
        phase = self._phase
        return phase is None or phase.at_work
