"""An actor that fails repeatedly costs the others no time, and loses no work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import count
from statistics import median
from typing import Literal

import httpx
import pytest
import trio

from simulator import RunningSimulator
from supervision import Backoff
from tests.integration.pipeline import PLANS, RESULTS, Pipeline, executed
from tests.integration.service_in_process import Rigging, ServiceInProcess
from tests.integration.site import Site
from tests.integration.surroundings import is_ready, trade
from tests.integration.test_actor_crashes import ACTORS, DEPENDENT, SWITCHES
from tests.integration.waiting import until

TIMES = 100
SYMBOL = "BTCUSDT"
STEP = Decimal("0.001")
LOOKS = 12
#: A slow machine slows both sides of the comparison; what it does in between is left to the floor.
RATIO, FLOOR_SEC = 4.0, 0.05
AT_ONCE = Backoff(initial_sec=0.002, maximum_sec=0.002)
STALL_LIMIT_SEC = 0.03
AT_WORK = ("running", "waiting")
#: The shard of SYMBOL among two.
FETCHER = "snapshot_fetcher_1"


class Work:
    """The service's work for others, each kind timed, and its expected results."""

    def __init__(self, pipeline: Pipeline, simulator: RunningSimulator, service: ServiceInProcess) -> None:
        self._pipeline = pipeline
        self._exchange = simulator.exchange
        self._service = service
        self._numbers = count()
        self._plans: list[str] = []
        self._client = httpx.AsyncClient(trust_env=False)
        #: Each kind of work, and the actors that do it.
        self.kinds: dict[str, tuple[Callable[[], Awaitable[None]], set[str]]] = {
            "decision": (self.decide, {"permit_evaluator"}),
            "booking": (self.book, {"ledger_writer"}),
            "snapshot": (self.push, {"user_stream", FETCHER}),
            "answer": (self.answer, {"metrics"}),
        }

    async def decide(self) -> None:
        """Publish a plan that needs the evaluator alone, since it cannot be read."""
        plan_id = f"plan-{next(self._numbers)}"
        self._plans.append(plan_id)
        self._pipeline.publish_plan(plan_id, {"symbol": SYMBOL, "decision": "EXECUTE", "qty": "many"})
        await self._pipeline.permit(plan_id, within_sec=10)

    async def book(self) -> None:
        """Fill an order of ours, and publish its result."""
        order = trade(self._exchange, SYMBOL, "BUY", str(STEP))
        self.publish_result(order.order_id)
        await until(self._accounts_for_all, "booked", within_sec=10)

    async def push(self) -> None:
        """Fill an order of ours, and wait for its snapshot; its result is published apart."""
        order = trade(self._exchange, SYMBOL, "BUY", str(STEP))
        amount = self._exchange.position(SYMBOL).amount
        await until(
            lambda: Decimal(self._pipeline.snapshot(SYMBOL).get("position_amt", 0)) == amount, "pushed", 10
        )
        self.publish_result(order.order_id)

    async def answer(self) -> None:
        assert (await self._client.get(f"{self._service.url}/healthz", timeout=10)).text == "ok"

    def publish_result(self, order_id: object) -> None:
        self._pipeline.publish_result(executed(f"order-{order_id}", SYMBOL, str(order_id), "BUY", str(STEP)))

    async def timed(self, kind: str) -> float:
        """Do it once; the seconds that it took."""
        begun_sec = trio.current_time()
        await self.kinds[kind][0]()
        return trio.current_time() - begun_sec

    async def is_all_done_once(self) -> None:
        await self._pipeline.nothing_pends(PLANS, RESULTS, within_sec=10)
        await self._pipeline.decided_once(self._plans)
        assert self._accounts_for_all()

    def _accounts_for_all(self) -> bool:
        """Return whether every fill is in the ledger once.

        A result whose booking failed each time is a dead letter, and not lost either.
        """
        booked = Decimal(self._pipeline.ledger_amount(SYMBOL) or 0)
        set_aside = len(self._pipeline.dead_letters(RESULTS))
        return booked + set_aside * STEP == self._exchange.position(SYMBOL).amount


@pytest.mark.parametrize("actor", ACTORS)
async def test_a_hundred_failures_in_a_row_slow_no_other_actor_and_lose_nothing(
    site: Site, actor: str
) -> None:
    settings = {"P33_SHARDS": "2", "P33_WEIGHT_BUDGET_PER_MIN": "2400", **SWITCHES.get(actor, {})}
    # A ledger that was just adopted asks the exchange about each fill that no stream has shown.
    site.redis.hset(f"quantum:position:ledger:{SYMBOL}", "last_known_amt", "0")
    async with site.service(Rigging(AT_ONCE, STALL_LIMIT_SEC), **settings) as service:
        assert service.channels.shard_of(SYMBOL) == int(FETCHER[-1])
        work = Work(site, site.simulator, service)
        undisturbed = {kind for kind, (_, doers) in work.kinds.items() if actor not in doers}
        assert len(undisturbed) >= 3
        before = {kind: [await work.timed(kind) for _ in range(LOOKS)] for kind in sorted(undisturbed)}

        during: dict[str, list[float]] = {kind: [] for kind in sorted(undisturbed)}
        ways: tuple[Literal["crash", "stall"], ...] = ("crash", "stall")
        for number, how in enumerate(ways, 1):
            await until(lambda: service.actor(actor).state in AT_WORK, f"{actor} is at work")
            service.doom(actor, how, TIMES)
            failures = number * (TIMES + 1)
            with trio.fail_after(120):
                while service.actor(actor).restarts < failures:
                    for kind, took in during.items():
                        took.append(await work.timed(kind))
            assert service.actor(actor).restarts == failures

        assert min(map(len, during.values())) >= LOOKS
        for kind, took in during.items():
            assert median(took) <= RATIO * median(before[kind]) + FLOOR_SEC, (kind, took, before[kind])
        assert service.actor(actor).last_reason == "stalled"
        assert set(service.restarts()) == {actor, *DEPENDENT.get(actor, ())}
        await is_ready(lambda: service.url, within_sec=90)
        for kind in work.kinds:
            await work.timed(kind)
        await work.is_all_done_once()
