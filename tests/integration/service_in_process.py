"""The whole service inside the test, where a test must look into it or break something on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
import structlog
import trio

import settings
import supervisor
from simulator import RunningSimulator
from supervision import Backoff, ChildSpec, Heartbeat, SupervisionEvent, Tree
from tests.integration.surroundings import environment, is_ready

#: Long enough to do something while an actor is down.
_BACKOFF = Backoff(initial_sec=0.2, maximum_sec=0.2)
_START_SEC = 10.0
_STOP_SEC = 5.0


class SabotageError(Exception):
    """What is raised inside an actor on purpose."""


class Sabotage:
    """Raises inside the running incarnation of an actor."""

    def __init__(self) -> None:
        self._triggers: dict[str, trio.Event] = {}

    def rigged(self, child: ChildSpec) -> ChildSpec:
        async def start(heartbeat: Heartbeat) -> None:
            trigger = self._triggers[child.name] = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_raise_when, trigger)
                await child.start(heartbeat)
                nursery.cancel_scope.cancel()

        return msgspec.structs.replace(child, start=start)

    def strike(self, name: str) -> None:
        self._triggers[name].set()


async def _raise_when(trigger: trio.Event) -> None:
    await trigger.wait()
    raise SabotageError


class ServiceInProcess:
    """A running service, its channels, and how its actors are."""

    def __init__(self, service: supervisor.Service, sabotage: Sabotage) -> None:
        self.flows = service.flows
        self.tree = service.tree
        self.strike = sabotage.strike

    @property
    def url(self) -> str:
        """Where it answers over HTTP; another address after each start of `metrics`."""
        return self.flows.http_address.value or ""

    def restarts(self) -> dict[str, int]:
        """The actors that were restarted, and how often."""
        return {child.name: child.restarts for child in self.tree.status().children if child.restarts}

    def actors(self) -> list[str]:
        return [child.name for child in self.tree.status().children]

    def state(self, name: str) -> str:
        (child,) = [child for child in self.tree.status().children if child.name == name]
        return child.state


@asynccontextmanager
async def running_service(
    redis_url: str, simulator: RunningSimulator, **changes: str
) -> AsyncIterator[ServiceInProcess]:
    """The service, ready, as `run` would serve it but for the rigged actors; `changes` are settings.

    It is stopped in order at the end.
    """
    loaded = settings.load(environment(redis_url, simulator, changes))
    made: list[ServiceInProcess] = []

    class RiggedService(supervisor.Service):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            sabotage = Sabotage()
            children = tuple(map(sabotage.rigged, _children(self)))
            spec = msgspec.structs.replace(self.spec, children=children, backoff=_BACKOFF)
            self.tree = Tree(spec, rng=Random(1), on_event=_ignore)  # noqa: S311 - jitter
            made.append(ServiceInProcess(self, sabotage))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "Service", RiggedService)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.serve, loaded, structlog.get_logger())
            with trio.fail_after(_START_SEC):
                while not made:
                    await trio.lowlevel.checkpoint()
                await made[0].flows.http_address.get()
                await is_ready(lambda: made[0].url)
            yield made[0]
            made[0].tree.stop()
            nursery.cancel_scope.deadline = trio.current_time() + _STOP_SEC


def _children(service: supervisor.Service) -> list[ChildSpec]:
    return [child for child in service.spec.children if isinstance(child, ChildSpec)]


def _ignore(_: SupervisionEvent) -> None:
    """The tree's status tells what the tests want to know."""
