"""`check --measure` against a simulator over real sockets, at a quick pace and with prepared answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import trio

from commands.check.measure import MeasureOptions, measure
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.pace import Pace
from settings import load
from simulator import RunningSimulator, SimulatedExchange, StreamServer, running
from simulator.request_log import RequestRecord
from tests.commands.deployment import Capture
from tests.integration.surroundings import environment, small_exchange

QUICK = Pace(
    clock_requests=3,
    pings=4,
    ping_every_sec=0.12,
    pong_within_sec=1.0,
    unknown_key_pings=2,
    mark_prices_sec=0.3,
    after_delete_sec=0.3,
    order_found_within_sec=0.5,
    order_events_within_sec=2.0,
    between_looks_sec=0.02,
    position_seen_within_sec=0.2,
    unanswered_order_sec=0.3,
    closing_within_sec=10.0,
    retry_after_sec=0.01,
)
#: Nothing listens there: no Redis remembers a ban.
NO_REDIS = "redis://127.0.0.1:1/0"

Ask = Callable[[str], str]


class FoundRow(msgspec.Struct, frozen=True):
    """A row of the JSON document."""

    asked: str
    found: str
    documents: dict[str, str]
    result: str


class Found(msgspec.Struct, frozen=True):
    """The JSON document with the exit code, and all that was printed."""

    code: int
    rows: list[FoundRow]
    printed: str

    def row(self, asked: str) -> FoundRow:
        """Return the only row that begins so."""
        (row,) = [row for row in self.rows if row.asked.startswith(asked)]
        return row


class Rig:
    """A simulator, and the environment that leads to it."""

    def __init__(self, simulator: RunningSimulator, capsys: Capture) -> None:
        self.simulator = simulator
        self.capsys = capsys
        self.exchange: SimulatedExchange = simulator.exchange
        self.environ = environment(NO_REDIS, simulator, {})

    async def measure(self, *, ask: Ask | None = None, pace: Pace = QUICK, **options: Any) -> Found:
        """Run the command as programs do."""
        chosen = MeasureOptions(as_json=True, **options)
        command = partial(measure, self.environ, chosen, ask=ask, pace=pace)
        code = await trio.to_thread.run_sync(command)
        printed = self.capsys.readouterr()
        (line,) = printed.out.splitlines()
        document = json.loads(line)
        assert document["ok"] is (code == 0)
        return Found(code, msgspec.convert(document["rows"], list[FoundRow]), printed.out + printed.err)

    def access(self) -> ExchangeAccess:
        """Access as the command makes it."""
        return ExchangeAccess(load(self.environ).settings, QUICK, banned_until_ms=None)

    def orders(self) -> list[RequestRecord]:
        """Return the requests for new orders."""
        return [
            each for each in self.exchange.requests.records(path="/fapi/v1/order") if each.method == "POST"
        ]

    def deletions(self) -> list[RequestRecord]:
        """Return the requests that delete the listen key."""
        return [each for each in self.exchange.requests.records() if each.method == "DELETE"]


@asynccontextmanager
async def rig(capsys: Capture) -> AsyncIterator[Rig]:
    """Yield a new exchange of 16 symbols."""
    exchange = small_exchange()
    streams = StreamServer(exchange, mark_price_interval_sec=0.1)
    async with running(exchange, streams=streams) as simulator:
        yield Rig(simulator, capsys)


def answering(answer: str, asked: list[str] | None = None) -> Ask:
    """Return a person who answers every question so; the questions go into `asked`."""

    def ask(question: str) -> str:
        if asked is not None:
            asked.append(question)
        return answer

    return ask
