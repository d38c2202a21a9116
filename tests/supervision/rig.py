"""Helpers of the supervision tests: specs in one line, actors by script, a journal of events."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import msgspec
import trio

from supervision import (
    Backoff,
    ChildCrashed,
    ChildSpec,
    ChildStalled,
    ChildStarted,
    ChildStopped,
    Escalated,
    Heartbeat,
    Intensity,
    SupervisionEvent,
    SupervisorSpec,
    Tree,
)
from supervision.specs import Restart, Strategy

Actor = Callable[[Heartbeat], Awaitable[None]]

ONE_SECOND = Backoff(initial_sec=1, maximum_sec=1, factor=1, jitter=0)
PLENTY = Intensity(restarts=10**9, within_sec=10**9)


class Journal:
    """Every event, and the same as short lines."""

    def __init__(self) -> None:
        self.events: list[SupervisionEvent] = []
        self.times_sec: list[float] = []

    def __call__(self, event: SupervisionEvent) -> None:
        self.events.append(event)
        self.times_sec.append(trio.current_time())

    def lines(self, *, without: str = "root") -> list[str]:
        return [_line(event) for event in self.events if event.name != without]

    def forget(self) -> None:
        self.events.clear()
        self.times_sec.clear()

    def crashes(self) -> list[ChildCrashed]:
        return [event for event in self.events if isinstance(event, ChildCrashed)]

    def starts_sec(self, name: str) -> list[float]:
        """Return the times of all starts of `name`."""
        return [
            time_sec
            for event, time_sec in zip(self.events, self.times_sec, strict=True)
            if isinstance(event, ChildStarted) and event.name == name
        ]


def _line(event: SupervisionEvent) -> str:
    match event:
        case ChildStarted():
            return f"{event.name} started"
        case ChildCrashed():
            return f"{event.name} crashed"
        case ChildStalled():
            return f"{event.name} stalled"
        case ChildStopped():
            return f"{event.name} {event.reason}"
        case Escalated():
            return f"{event.name} escalated"


def rigged(
    spec: SupervisorSpec,
    rig: Callable[[ChildSpec], ChildSpec],
    backoff: Backoff | None = None,
    intensity: Intensity | None = None,
) -> SupervisorSpec:
    """Return the same tree with other actors and, unless None, other back-off and intensity."""
    return msgspec.structs.replace(
        spec,
        children=tuple(
            rig(child) if isinstance(child, ChildSpec) else rigged(child, rig, backoff, intensity)
            for child in spec.children
        ),
        backoff=backoff or spec.backoff,
        intensity=intensity or spec.intensity,
    )


async def obedient(heartbeat: Heartbeat) -> None:
    """Has nothing to do until it is asked to stop."""
    with heartbeat.idle():
        await heartbeat.stopping.wait()


async def deaf(heartbeat: Heartbeat) -> None:
    """Has nothing to do and never looks at `stopping`."""
    with heartbeat.idle():
        await trio.sleep_forever()


def crashes_after(sec: float, failure: BaseException) -> Actor:
    async def actor(heartbeat: Heartbeat) -> None:
        with heartbeat.idle():
            await trio.sleep(sec)
        raise failure

    return actor


def raises(failure: BaseException) -> Actor:
    """In its first step, so that two of these in one nursery do raise together."""

    async def actor(heartbeat: Heartbeat) -> None:
        raise failure

    return actor


def returns_after(sec: float) -> Actor:
    async def actor(heartbeat: Heartbeat) -> None:
        with heartbeat.idle():
            await trio.sleep(sec)

    return actor


def script(*incarnations: Actor) -> Actor:
    """One actor after the other, an incarnation each; the last one stays."""
    scripted = list(incarnations)

    async def actor(heartbeat: Heartbeat) -> None:
        await (scripted.pop(0) if len(scripted) > 1 else scripted[0])(heartbeat)

    return actor


def child(
    name: str,
    start: Actor = obedient,
    *,
    restart: Restart = "permanent",
    stall_limit_sec: float | None = None,
    stop_grace_sec: float = 1.0,
) -> ChildSpec:
    return ChildSpec(
        name=name,
        start=start,
        restart=restart,
        stall_limit_sec=stall_limit_sec,
        stop_grace_sec=stop_grace_sec,
    )


def supervisor(
    *children: ChildSpec | SupervisorSpec,
    name: str = "root",
    strategy: Strategy = "one_for_one",
    intensity: Intensity = PLENTY,
    backoff: Backoff = ONE_SECOND,
) -> SupervisorSpec:
    return SupervisorSpec(
        name=name, strategy=strategy, children=children, intensity=intensity, backoff=backoff
    )


def chance(seed: int = 0) -> Random:
    return Random(seed)  # noqa: S311 - to be repeatable, not secret


def tree_of(spec: SupervisorSpec, journal: Journal, seed: int = 0) -> Tree:
    return Tree(spec, rng=chance(seed), on_event=journal)


@asynccontextmanager
async def running(tree: Tree) -> AsyncIterator[Tree]:
    """The tree, standing; cancelled at the end of the block."""
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        yield tree
        nursery.cancel_scope.cancel()


async def journal_after(sec: float, spec: SupervisorSpec) -> Journal:
    """Return the journal of a tree that has run for that time, without its stop."""
    journal = Journal()
    async with running(tree_of(spec, journal)):
        await trio.sleep(sec)
        events, times_sec = journal.events.copy(), journal.times_sec.copy()
    journal.events, journal.times_sec = events, times_sec
    return journal
