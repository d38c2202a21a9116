"""Positions under a burst of plans, through a stream that drops every few seconds: all shards, one budget."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
import structlog
import trio

import settings
from brain.identifiers import FencingToken, PlanId, Symbol
from channels import Channels, Lease, OnDemandRead, StreamConnected, StreamLost, StreamProven
from clock import TrioClock
from clocks.clocks import Clocks
from exchange.errors import BudgetExhausted, ExchangeUnavailable
from exchange.protocol import PositionsRead, Priority
from exchange.read_pacer import WEIGHT_PER_READ
from exchange.weight_budget import WeightBudget
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange
from tests.actors.fetcher_rig import KeptSnapshots
from tests.background import background
from tests.virtual_time import virtual_time
from wiring.snapshots import SnapshotMaking

pytestmark = [pytest.mark.simulation, virtual_time]

SYMBOLS = [f"S{number:03}USDT" for number in range(300)]
PLANS_PER_SEC = 200
PATIENCE_SEC = 0.9
STALE_SEC = 10.0
DROP_EVERY_SEC = 8.0
DROPS = 9


class WeighedExchange(DictatedExchange):
    """Takes the weight of each request from the budget."""

    def __init__(self, clock: TrioClock, budget: WeightBudget) -> None:
        super().__init__(clock)
        self.budget = budget
        self.refused = 0

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        try:
            self.budget.reserve(5, priority)
        except BudgetExhausted:
            self.refused += 1
            raise
        return await super().positions(symbol, priority=priority)


class Desk:
    """The fetchers of all shards, and plans that need a snapshot that is fresh and trusted."""

    def __init__(self) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.budget = WeightBudget(self.clock, 1200)
        self.exchange = WeighedExchange(self.clock, self.budget)
        for symbol in SYMBOLS:
            self.exchange.set(symbol, "0", update_time_ms=0)
        loaded = settings.load({"P33_STALE_THRESHOLD_SEC": f"{STALE_SEC}"})
        self.channels = Channels(loaded.settings.shards)
        self.channels.lease.send(Lease(FencingToken("1:me"), "me"))
        self.making = SnapshotMaking(
            loaded.settings,
            self.channels,
            KeptSnapshots(),  # type: ignore[arg-type]
            self.exchange,
            weight_per_read=lambda: WEIGHT_PER_READ,
            clocks=Clocks(self.clock, self.exchange),
            log=structlog.get_logger(),
        )
        self.shards = loaded.settings.shards
        self.rng = Random(5)  # noqa: S311
        self.asking: dict[str, trio.Event] = {}
        self.decided = self.denied = self.unready = 0
        self.answers: list[str | None] = []
        self.slowest_sec = 0.0
        self.epoch = 0

    def fresh(self, symbol: str) -> bool:
        snapshot = self.channels.book.get(symbol)
        return (
            snapshot is not None
            and self.channels.book.is_trusted(snapshot)
            and snapshot.verified_at.age_sec(self.clock.now()) <= STALE_SEC
        )

    async def decide(self, symbol: str) -> None:
        """As the evaluator does: one on-demand read a symbol, for all its plans that wait."""
        began_sec = trio.current_time()
        if not self.fresh(symbol):
            if symbol in self.asking:
                await self.asking[symbol].wait()
            else:
                answered = self.asking[symbol] = trio.Event()
                await self.ask(symbol)
                del self.asking[symbol]
                answered.set()
        self.decided += 1
        self.denied += not self.fresh(symbol)
        self.slowest_sec = max(self.slowest_sec, trio.current_time() - began_sec)

    async def ask(self, symbol: str) -> str | None:
        reply, answer = trio.open_memory_channel[str | None](1)
        with trio.move_on_after(PATIENCE_SEC):
            deadline_sec = trio.current_time() + PATIENCE_SEC
            channel = self.channels.on_demand[self.channels.shard_of(symbol)]
            await channel.send(OnDemandRead(Symbol(symbol), PlanId("plan"), deadline_sec, reply))
            self.answers.append(await answer.receive())
            return self.answers[-1]
        return "no answer"

    async def plan(self, nursery: trio.Nursery) -> None:
        while True:
            nursery.start_soon(self.decide, self.rng.choice(SYMBOLS))
            await trio.sleep(1 / PLANS_PER_SEC)

    async def look(self) -> None:
        while True:
            await trio.sleep(0.5)
            fresh = sum(self.fresh(symbol) for symbol in SYMBOLS)
            self.unready += fresh * 2 < len(SYMBOLS)

    def connect(self) -> None:
        self.epoch += 1
        for inbox in self.channels.shards:
            inbox.send(StreamConnected(self.epoch, self.clock.now()))

    def prove(self) -> None:
        for inbox in self.channels.shards:
            inbox.send(StreamProven(self.epoch, self.clock.now().earlier_by(0.25)))

    def lose(self) -> None:
        now = self.clock.now()
        self.channels.book.lose_trust(now)
        for inbox in self.channels.shards:
            inbox.send(StreamLost(self.epoch, now, "test"))

    async def flap(self, drops: int, *, back_after_sec: float) -> None:
        for _ in range(drops):
            self.budget.reserve(2, Priority.VITAL)
            self.connect()
            connected_sec = trio.current_time()
            while trio.current_time() < connected_sec + DROP_EVERY_SEC - back_after_sec:
                await trio.sleep(1)
                self.prove()
            self.lose()
            await trio.sleep(back_after_sec)

    def use_up(self, priority: Priority) -> None:
        with suppress(BudgetExhausted):
            while True:
                self.budget.reserve(5, priority)

    async def start(self, nursery: trio.Nursery) -> None:
        for shard in range(self.shards):
            nursery.start_soon(self.making.fetcher(shard).run, Heartbeat())
        await trio.sleep(1)


@pytest.fixture
async def desk(nursery: trio.Nursery) -> Desk:
    """Returns one whose fetchers run."""
    desk = Desk()
    await desk.start(nursery)
    return desk


@pytest.mark.parametrize("back_after_sec", [1.0, 4.0], ids=["back after 1 s", "back after 4 s"])
async def test_plans_are_decided_through_a_stream_that_drops_every_eight_seconds(
    desk: Desk, back_after_sec: float
) -> None:
    most_used = 0

    async def watch_weight() -> None:
        nonlocal most_used
        while True:
            most_used = max(most_used, desk.budget.own_used)
            await trio.sleep(0.1)

    async with background(watch_weight) as nursery:
        nursery.start_soon(desk.look)
        nursery.start_soon(desk.plan, nursery)
        await desk.flap(DROPS, back_after_sec=back_after_sec)
    assert desk.denied == 0 and desk.decided > 0.99 * DROPS * DROP_EVERY_SEC * PLANS_PER_SEC
    assert desk.slowest_sec < PATIENCE_SEC / 2
    assert desk.unready <= DROPS, "a look or none a drop, of two a second"
    assert most_used < 200, "of 1200 a minute"


async def test_the_first_read_is_of_one_symbol_and_what_waits_beside_a_second_one_shares_a_read_of_all(
    desk: Desk, nursery: trio.Nursery
) -> None:
    await trio.sleep(1)
    desk.exchange.reads.clear()
    assert await desk.ask(SYMBOLS[0]) is None
    assert desk.exchange.reads == [SYMBOLS[0]]
    desk.exchange.reads.clear()
    for symbol in SYMBOLS[1:40]:
        nursery.start_soon(desk.ask, symbol)
        await trio.sleep(0.005)
    await trio.sleep(1)
    assert desk.exchange.reads == [SYMBOLS[1], None], "both are under way while all others come"


async def test_a_plan_that_comes_during_the_refresh_after_a_loss_is_answered_by_it(desk: Desk) -> None:
    desk.exchange.reads.clear()
    desk.lose()
    await trio.sleep(0.1)
    began_sec = trio.current_time()
    assert await desk.ask(SYMBOLS[7]) is None
    assert trio.current_time() - began_sec < desk.exchange.latency_sec
    assert desk.fresh(SYMBOLS[7])
    assert desk.exchange.reads == [None]


async def test_a_request_refused_for_lack_of_weight_is_answered_by_the_next_read_of_all(
    desk: Desk, nursery: trio.Nursery
) -> None:
    desk.use_up(Priority.ON_DEMAND)
    for symbol in SYMBOLS[:20]:
        nursery.start_soon(desk.ask, symbol)
    await trio.sleep(0.2)
    assert desk.exchange.refused
    assert desk.answers == []
    await desk.making.positions.all.read(priority=Priority.RECOVERY)
    await trio.sleep(0.01)
    assert desk.answers == [None] * 20
    assert await desk.ask(SYMBOLS[30]) is None, "by the same read"
    assert await desk.ask(SYMBOLS[0]) == "our share of the request weight is used up"


async def test_no_request_is_repeated_while_the_exchange_is_slower_than_any_plan_waits(
    desk: Desk, nursery: trio.Nursery
) -> None:
    """A read that others wait for goes on when the plan that caused it has been answered."""
    desk.exchange.latency_sec = 1.2
    desk.exchange.reads.clear()
    desk.lose()
    for symbol in SYMBOLS[:40]:
        nursery.start_soon(desk.decide, symbol)
        await trio.sleep(0.01)
    await trio.sleep(2)
    assert desk.exchange.reads.count(None) <= 2
    assert len(desk.exchange.reads) <= 3
    assert desk.fresh(SYMBOLS[39])


async def test_a_refresh_that_waits_for_weight_is_sent_at_once_when_trust_is_lost(desk: Desk) -> None:
    desk.use_up(Priority.PERIODIC)
    desk.use_up(Priority.ON_DEMAND)
    await trio.sleep(6)  # the poll is refused
    assert desk.exchange.refused
    desk.lose()
    await trio.sleep(0.5)
    assert desk.fresh(SYMBOLS[0])


async def test_a_shared_read_that_fails_is_one_failure_for_all_that_wait(
    desk: Desk, nursery: trio.Nursery
) -> None:
    desk.exchange.failure = ExchangeUnavailable("HTTP 502")
    desk.exchange.reads.clear()
    for symbol in SYMBOLS[:10]:
        nursery.start_soon(desk.ask, symbol)
    await trio.sleep(0.5)
    assert desk.answers == ["HTTP 502"] * 10
    assert desk.exchange.reads == [None]
