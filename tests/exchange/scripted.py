"""An exchange that answers by a script, in memory and on virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import httpcore
import httpx
import trio

from channels import DropOldest, MetricEvent
from clock import Clock, TrioClock
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.weight_budget import WeightBudget

EPOCH_MS = 1_700_000_000_000


class MemoryNetwork:
    """Hands requests to a function instead of to sockets."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        await trio.lowlevel.checkpoint()
        url, headers = request.url, request.headers
        asked = httpx.Request(
            request.method.decode(), f"http://{url.host.decode()}{url.target.decode()}", headers=headers
        )
        answer = self._answer(asked)
        return httpcore.Response(answer.status_code, headers=answer.headers.raw, content=answer.stream)

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


class Answers(MemoryNetwork):
    """Gives each path its answer and notes what was asked, and when (trio's clock)."""

    def __init__(self, answers: Mapping[str, Callable[[], httpx.Response]]) -> None:
        """`answers`: by path; the time is always answered, unless the script has it."""
        super().__init__(self.answer)
        self.answers = dict(answers)
        self.asked: list[tuple[float, str]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((trio.current_time(), request.url.path))
        answer = self.answers.get(request.url.path)
        if answer is None and request.url.path == "/fapi/v1/time":
            return httpx.Response(200, json={"serverTime": EPOCH_MS + round(trio.current_time() * 1000)})
        return httpx.Response(404) if answer is None else answer()

    def times(self, path: str) -> list[float]:
        return [at for at, asked in self.asked if asked == path]


class ScriptedRest:
    """A REST client on virtual time, and what it shares with others."""

    def __init__(
        self,
        answers: Mapping[str, Callable[[], httpx.Response]],
        *,
        clock: Clock | None = None,
        network: Answers | None = None,
    ) -> None:
        self.network = network or Answers(answers)
        self.clock = clock or TrioClock(EPOCH_MS)
        self.bans: list[int] = []
        self.notices: list[str] = []
        server_time = ServerTime()
        self.budget = WeightBudget(
            self.clock, 1200, exchange_ms=server_time.exchange_ms, on_ban=self.bans.append
        )
        self.rest = BinanceRest(
            "http://exchange.test",
            "the-api-key",
            "the-api-secret",
            clock=self.clock,
            budget=self.budget,
            server_time=server_time,
            metrics=DropOldest[MetricEvent]("metrics", 1000),
            rng=Random(1),  # noqa: S311 - jitter
            network=self.network,
            notice=self.notices.append,
        )
