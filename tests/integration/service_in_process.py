"""The whole service inside the test, where a test must look into it or break something on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Literal

import msgspec
import pytest
import structlog
import trio

import settings
import supervisor
from simulator import RunningSimulator
from supervision import (
    Backoff,
    ChildCrashed,
    ChildSpec,
    Heartbeat,
    Intensity,
    NodeStatus,
    SupervisionEvent,
    Tree,
)
from tests.integration.surroundings import environment, is_ready
from tests.supervision.rig import rigged

#: Long enough to do something while an actor is down.
_BACKOFF = Backoff(initial_sec=0.2, maximum_sec=0.2)
_PLENTY = Intensity(restarts=10**9, within_sec=1.0)
#: How long an incarnation lives that is to fail: long enough to begin its work.
_DOOMED_SEC = 0.01
_START_SEC = 10.0
_STOP_SEC = 5.0


class Rigging(msgspec.Struct, frozen=True):
    """Delays of restarts, and the time after which an actor has stalled (None: as in production)."""

    backoff: Backoff = _BACKOFF
    stall_limit_sec: float | None = None


USUAL_RIGGING = Rigging()


class SabotageError(Exception):
    """The error that is raised inside an actor on purpose."""


class Sabotage:
    """Makes incarnations of an actor fail while they work.

    `stall_limit_sec`: the limit of all actors, of which then only those that are doomed are held to it.
    """

    def __init__(self, stall_limit_sec: float | None) -> None:
        self._stall_limit_sec = stall_limit_sec
        self._triggers: dict[str, trio.Event] = {}
        self._doomed: dict[str, Iterator[Literal["crash", "stall"]]] = {}

    def rigged(self, child: ChildSpec) -> ChildSpec:
        async def start(heartbeat: Heartbeat) -> None:
            trigger = self._triggers[child.name] = trio.Event()
            doom = next(self._doomed.get(child.name, iter(())), None)
            heard = heartbeat
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_raise_when, trigger)
                if doom == "crash":
                    nursery.start_soon(_raise_after, _DOOMED_SEC)
                if self._stall_limit_sec is not None:
                    # Its beats are not counted: an actor chosen to fail has stalled, the others idle.
                    heard = Heartbeat(heartbeat.stopping)
                    if doom != "stall":
                        nursery.start_soon(_idle, heartbeat)
                await child.start(heard)
                nursery.cancel_scope.cancel()

        limit_sec = self._stall_limit_sec or child.stall_limit_sec
        return msgspec.structs.replace(child, start=start, stall_limit_sec=limit_sec)

    def strike(self, name: str) -> None:
        """Raise inside the running incarnation of `name`; there must be one."""
        assert not self._triggers[name].is_set(), f"{name} is not at work"
        self._triggers[name].set()

    def doom(self, name: str, how: Literal["crash", "stall"], times: int) -> None:
        """Strike `name`, and let its next `times` incarnations fail as well, soon after they began."""
        self._doomed[name] = iter([how] * times)
        self.strike(name)


async def _raise_when(trigger: trio.Event) -> None:
    await trigger.wait()
    raise SabotageError


async def _idle(heartbeat: Heartbeat) -> None:
    with heartbeat.idle():
        await trio.sleep_forever()


async def _raise_after(sec: float) -> None:
    await trio.sleep(sec)
    raise SabotageError


class ServiceInProcess:
    """A running service, its channels, and how its actors are."""

    def __init__(self, service: supervisor.Service, sabotage: Sabotage) -> None:
        self.channels = service.channels
        self.tree = service.tree
        self.strike = sabotage.strike
        self.doom = sabotage.doom

    @property
    def url(self) -> str:
        """Its HTTP address; another one after each start of `metrics`."""
        return self.channels.http_address.value or ""

    def restarts(self) -> dict[str, int]:
        """Return the actors that were restarted, and how often."""
        return {actor.name: actor.restarts for actor in self._actors() if actor.restarts}

    def actors(self) -> list[str]:
        """Return all actors, in the order in which they start."""
        return [actor.name for actor in self._actors()]

    def actor(self, name: str) -> NodeStatus:
        (actor,) = [actor for actor in self._actors() if actor.name == name]
        return actor

    def _actors(self) -> Iterator[NodeStatus]:
        return _leaves(self.tree.status())


@asynccontextmanager
async def running_service(
    redis_url: str, simulator: RunningSimulator, rigging: Rigging = USUAL_RIGGING, /, **changes: str
) -> AsyncIterator[ServiceInProcess]:
    """The service, ready, as `run` would serve it but for rigged actors that are restarted without limit.

    `changes` are settings. It is stopped in order at the end.
    """
    loaded = settings.load(environment(redis_url, simulator, changes))
    made: list[ServiceInProcess] = []

    class RiggedService(supervisor.Service):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            sabotage = Sabotage(rigging.stall_limit_sec)
            spec = rigged(self.spec, sabotage.rigged, rigging.backoff, _PLENTY)
            self.tree = Tree(spec, rng=Random(1), on_event=_show_crashes)  # noqa: S311 - jitter
            made.append(ServiceInProcess(self, sabotage))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "Service", RiggedService)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.serve, loaded, structlog.get_logger())
            with trio.fail_after(_START_SEC):
                while not made:
                    await trio.lowlevel.checkpoint()
                await made[0].channels.http_address.get()
                await is_ready(lambda: made[0].url)
            yield made[0]
            made[0].tree.stop()
            nursery.cancel_scope.deadline = trio.current_time() + _STOP_SEC


def _leaves(node: NodeStatus) -> Iterator[NodeStatus]:
    if not node.children:
        yield node
    for child in node.children:
        yield from _leaves(child)


def _show_crashes(event: SupervisionEvent) -> None:
    """Print it for the output of a failed test; the tests read the tree's status."""
    if isinstance(event, ChildCrashed) and not isinstance(event.failure, SabotageError):
        structlog.get_logger().warning("Actor failed", actor=event.name, reason=event.reason)
