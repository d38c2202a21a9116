"""A Redis, an exchange and, where a test wants it, the service; and commands run beside them in a thread."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import redis
import trio

from commands.clients.embedded_redis import private_redis_server
from simulator import RunningSimulator, StreamServer, running
from tests.integration.service_in_process import ServiceInProcess, running_service
from tests.integration.surroundings import environment, small_exchange

Capture = pytest.CaptureFixture[str]
Finding = dict[str, str]


class Deployment:
    """What an operator has: an environment, and what it names."""

    def __init__(self, url: str, simulator: RunningSimulator) -> None:
        self.url = url
        self.simulator = simulator
        self.environ = environment(url, simulator, {})
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True, protocol=3)
        # As a careful operator makes the key.
        rights = simulator.exchange.key_rights
        rights.ip_restrict, rights.enable_futures = True, False

    @asynccontextmanager
    async def service(self, **changes: Any) -> AsyncIterator[ServiceInProcess]:
        """The service, ready; `environ` names its address while it runs."""
        async with running_service(self.url, self.simulator, **changes) as service:
            before = self.environ["P33_METRICS_PORT"]
            self.environ["P33_METRICS_PORT"] = service.url.rpartition(":")[2]
            yield service
            self.environ["P33_METRICS_PORT"] = before

    def keys(self) -> dict[str, bytes]:
        """Every key with its whole value, as Redis dumps it."""
        raw: Any = redis.Redis.from_url(self.url)
        return {key.decode(): raw.dump(key) for key in raw.scan_iter()}


@asynccontextmanager
async def deployment() -> AsyncIterator[Deployment]:
    """A Redis with an append-only file, and an exchange of 16 symbols; both new."""
    exchange = small_exchange()
    streams = StreamServer(exchange, mark_price_interval_sec=0.02)
    async with (
        private_redis_server(append_only=True) as server,
        running(exchange, streams=streams) as simulator,
    ):
        made = Deployment(server.url, simulator)
        try:
            yield made
        finally:
            made.redis.close()


async def run_command(command: Callable[..., int], *arguments: Any, **named: Any) -> int:
    """Its exit code. It runs in a thread of its own, since it may start trio itself."""
    return await trio.to_thread.run_sync(partial(command, *arguments, **named))


async def findings_of(
    capsys: Capture, command: Callable[..., int], *arguments: Any, **named: Any
) -> tuple[int, list[Finding]]:
    """The exit code of a command, and what it found, as programs are told."""
    code = await run_command(command, *arguments, as_json=True, **named)
    # A service in this process logs to the same place.
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith('{"ok":')]
    told = json.loads(line)
    assert told["ok"] is (code == 0)
    return code, told["findings"]
