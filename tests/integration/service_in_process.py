"""The whole service inside the test, where a test must look into it or break something on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
import structlog
import trio

import settings
import supervisor
from clock import HostClock
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.user_stream_connection import UserStreamConnector
from exchange.weight_budget import WeightBudget
from simulator import RunningSimulator
from store.redis_store import open_redis_store
from supervision import Backoff, ChildSpec, Heartbeat, SupervisionEvent, Tree
from tests.integration.surroundings import environment, is_ready

#: Long enough to do something while an actor is down.
_BACKOFF = Backoff(initial_sec=0.15, maximum_sec=0.15)


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
    """A running service, its channels, and what its supervisor reported."""

    def __init__(self, service: supervisor.Service, tree: Tree, sabotage: Sabotage) -> None:
        self.service = service
        self.flows = service.flows
        self.tree = tree
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
    """The service, ready; `changes` are settings. It is stopped in order at the end."""
    loaded = settings.load(environment(redis_url, simulator, changes))
    own = loaded.settings
    credentials = own.require_credentials()
    clock, rng, server_time = HostClock(), Random(), ServerTime()  # noqa: S311 - jitter
    flows = supervisor.Flows(own.shards)
    budget = WeightBudget(
        clock, own.weight_budget_per_min, exchange_ms=server_time.exchange_ms, on_ban=flows.bans.send
    )
    sabotage = Sabotage()
    async with (
        open_redis_store(own.redis.url(), prefix=own.key_prefix, consumer=own.instance) as store,
        BinanceRest(
            own.binance_rest_url,
            credentials.api_key.reveal(),
            credentials.api_secret.reveal(),
            clock=clock,
            budget=budget,
            server_time=server_time,
            metrics=flows.metrics,
            rng=rng,
        ) as exchange,
        trio.open_nursery() as nursery,
    ):
        service = supervisor.Service(
            loaded,
            flows,
            store=store,
            exchange=exchange,
            orders=exchange,
            connector=UserStreamConnector(own.binance_ws_url, clock=clock),
            budget=budget,
            clock=clock,
            rng=rng,
            log=structlog.get_logger(),
        )
        children = tuple(
            sabotage.rigged(child) for child in service.spec.children if isinstance(child, ChildSpec)
        )
        spec = msgspec.structs.replace(service.spec, children=children, backoff=_BACKOFF)
        service.tree = Tree(spec, rng=rng, on_event=_ignore)
        running = ServiceInProcess(service, service.tree, sabotage)
        ended = trio.Event()

        async def run() -> None:
            await service.tree.run()
            ended.set()

        nursery.start_soon(run)
        with trio.fail_after(10):
            await flows.http_address.get()
        await is_ready(running.url)
        yield running
        service.tree.stop()
        with trio.move_on_after(5):
            await ended.wait()
        nursery.cancel_scope.cancel()


def _ignore(_: SupervisionEvent) -> None:
    """The tree's status tells what the tests want to know."""
