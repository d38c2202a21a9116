"""A Redis, an exchange and, where a test wants it, the service; and commands run beside them in a thread."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import redis
import trio

from commands.check import check
from commands.clients.embedded_redis import private_redis_server
from simulator import RunningSimulator, StreamServer, running
from tests.integration.pipeline import Pipeline
from tests.integration.service_in_process import ServiceInProcess, running_service
from tests.integration.surroundings import environment, small_exchange

Capture = pytest.CaptureFixture[str]
Finding = dict[str, str]
QUICK_SEC = 0.01


def of(findings: list[Finding], name: str) -> list[Finding]:
    return [finding for finding in findings if finding["name"] == name]


class Deployment(Pipeline):
    """A deployment: an environment, the servers that it names, and the services around it."""

    def __init__(self, url: str, simulator: RunningSimulator, capsys: Capture) -> None:
        super().__init__(url)
        self.url = url
        self.simulator = simulator
        self.capsys = capsys
        self.environ = environment(url, simulator, {})
        # As a careful operator makes the key.
        rights = simulator.exchange.key_rights
        rights.ip_restrict, rights.enable_futures = True, False

    @asynccontextmanager
    async def service(self, **changes: Any) -> AsyncIterator[ServiceInProcess]:
        """Yield the service, ready; `environ` names its address while it runs."""
        async with running_service(self.url, self.simulator, **changes) as service:
            before = self.environ["P33_METRICS_PORT"]
            self.environ["P33_METRICS_PORT"] = service.url.rpartition(":")[2]
            yield service
            self.environ["P33_METRICS_PORT"] = before

    async def findings_of(
        self, command: Callable[..., int], *arguments: Any, **named: Any
    ) -> tuple[int, list[Finding]]:
        """Return the exit code of a command and its findings in JSON."""
        code = await run_command(command, *arguments, as_json=True, **named)
        # A service in this process logs to the same place.
        (line,) = [line for line in self.capsys.readouterr().out.splitlines() if line.startswith('{"ok":')]
        shown = json.loads(line)
        assert shown["ok"] is (code == 0)
        return code, shown["findings"]

    async def check(
        self, changes: Mapping[str, str] | None = None, *, watch_sec: float = QUICK_SEC
    ) -> tuple[int, list[Finding]]:
        """Return the exit code of `check` and its findings, in a changed environment."""
        return await self.findings_of(check, {**self.environ, **(changes or {})}, watch_sec=watch_sec)

    def keys(self) -> dict[str, bytes]:
        """Return every key with its whole value, as Redis dumps it."""
        raw: Any = redis.Redis.from_url(self.url)
        return {key.decode(): raw.dump(key) for key in raw.scan_iter()}


@asynccontextmanager
async def deployment(capsys: Capture) -> AsyncIterator[Deployment]:
    """Yield a Redis with an append-only file, and an exchange of 16 symbols; both new."""
    exchange = small_exchange()
    streams = StreamServer(exchange, mark_price_interval_sec=0.02)
    async with (
        private_redis_server(append_only=True) as server,
        running(exchange, streams=streams) as simulator,
    ):
        made = Deployment(server.url, simulator, capsys)
        try:
            yield made
        finally:
            made.redis.close()


async def run_command(command: Callable[..., int], *arguments: Any, **named: Any) -> int:
    """Its exit code. It runs in a thread of its own, since it may start trio itself."""
    return await trio.to_thread.run_sync(partial(command, *arguments, **named))
