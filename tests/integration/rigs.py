"""Daemons as processes, each with a Redis and an exchange of its own, that run side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import msgspec
import trio

from brain.error_groups import each_error
from commands.clients.embedded_redis import private_redis
from simulator import RunningSimulator, SimulatedExchange, running
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.pipeline import Pipeline
from tests.integration.surroundings import environment, small_exchange, stream_is_trusted
from tests.integration.under_fire import restarts

#: The defaults' proportions, four times as fast.
QUARTER = {
    "P33_AUDIT_SEC": "2",
    "P33_STALE_THRESHOLD_SEC": "2.5",
    "P33_POLL_SEC": "1.25",
    "P33_STREAM_PROOF_SEC": "0.25",
    "P33_AUDIT_MAX_AGE_SEC": "15",
}

#: Runs a Redis for the length of a block, and yields its URL.
RunsRedis = Callable[[], AbstractAsyncContextManager[str]]


class Rig(msgspec.Struct, frozen=True):
    """One daemon, its Redis and its exchange."""

    redis_url: str
    pipeline: Pipeline
    simulator: RunningSimulator
    daemon: DaemonProcess
    url: str

    @property
    def exchange(self) -> SimulatedExchange:
        """The account, in the test's process."""
        return self.simulator.exchange

    async def status(self) -> dict[str, Any]:
        """Return the answer of `/status`, without the settings."""
        document: dict[str, Any] = msgspec.json.decode(await self.get("/status"))
        del document["settings"]
        return document

    async def get(self, path: str) -> str:
        """Return the body of an answer of the HTTP side, whatever its status code."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.url}{path}", timeout=5)).text

    async def trusts_the_stream(self, within_sec: float = 10.0) -> None:
        """Wait until the private stream is proven."""
        await stream_is_trusted(self.url, within_sec)

    async def assert_nothing_restarted(self) -> None:
        """Check that process and actors are those of the start."""
        assert self.daemon.alive, self.daemon.errors[-2000:]
        assert "Actor failed" not in self.daemon.output
        counted = await restarts(self.url)
        assert counted == {}, counted


class Case(msgspec.Struct, frozen=True):
    """One rig, and what is done with it."""

    name: str
    run: Callable[[Rig], Awaitable[None]]
    settings: Mapping[str, str] = {}
    exchange: Callable[[], SimulatedExchange] = small_exchange
    latency_ms: float | None = None
    redis: RunsRedis = private_redis


@asynccontextmanager
async def running_rig(
    settings: Mapping[str, str],
    exchange: SimulatedExchange | None = None,
    *,
    latency_ms: float | None = None,
    redis: RunsRedis = private_redis,
) -> AsyncIterator[Rig]:
    """Yield a daemon that is ready."""
    account = small_exchange() if exchange is None else exchange
    async with (
        redis() as redis_url,
        running(account, latency_ms=latency_ms) as simulator,
        daemon_process(environment(redis_url, simulator, settings)) as daemon,
    ):
        yield Rig(redis_url, Pipeline(redis_url), simulator, daemon, await daemon.ready())


async def side_by_side(*cases: Case) -> None:
    """Run all cases at once, each to its end, and look at their daemons; AssertionError names those failed.

    Two daemons start at a time, in the order of the cases, so that none is slow because of all the others.
    """
    failures: list[str] = []
    starting = trio.CapacityLimiter(2)

    async def run(number: int, case: Case) -> None:
        try:
            async with AsyncExitStack() as stack:
                try:
                    rig = await stack.enter_async_context(
                        running_rig(
                            case.settings, case.exchange(), latency_ms=case.latency_ms, redis=case.redis
                        )
                    )
                finally:
                    starting.release_on_behalf_of(number)
                await case.run(rig)
                await rig.assert_nothing_restarted()
        except* (AssertionError, trio.TooSlowError) as group:
            failures.append(f"{case.name}: {_sentences(group)}")

    async with trio.open_nursery() as nursery:
        for number, case in enumerate(cases):
            await starting.acquire_on_behalf_of(number)
            nursery.start_soon(run, number, case)
    assert not failures, "\n".join(failures)


def _sentences(group: BaseExceptionGroup[BaseException]) -> str:
    return "; ".join(f"{type(error).__name__}: {error}" for error in each_error(group))


def every(names: Sequence[str], run: Callable[[str, Rig], Awaitable[None]], **common: Any) -> list[Case]:
    """Return a case for each name, which `run` gets."""

    def of(name: str) -> Case:
        async def named(rig: Rig) -> None:
            await run(name, rig)

        return Case(name, named, **common)

    return [of(name) for name in names]
