"""Everybody around the service: publishers, consumers that execute or die, operators, other traders."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import trio

from simulator import external_events
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.books import Books, Published
from tests.simulation.clocks import SteppedClock
from tests.simulation.consumers import Consumers
from tests.simulation.fields import Fields, as_entry
from tests.simulation.governor import Governor, ServiceGovernor
from tests.simulation.plans import PlanMaker
from tests.simulation.publisher import DELISTED, Publisher
from tests.simulation.repairs import Repairs
from tests.simulation.trace import Trace
from tests.simulation.venue import ZERO, Venue

_MANAGED = 0.87
_CAUSES: tuple[external_events.Cause, ...] = ("liquidation", "adl", "settlement", "stop")


class Neighbours:
    """One seed's pipeline and market."""

    def __init__(
        self,
        books: Books,
        venue: Venue,
        redis: MemoryRedis,
        redis_clock: SteppedClock,
        keys: Keys,
        rng: Random,
        trace: Trace,
    ) -> None:
        self.trading = False
        #: The Governor, where the service's own executor waits for permits.
        self.governor: Governor | ServiceGovernor | None = None
        #: Whether played consumers execute.
        self.consume = True
        #: Whether the service's own reconcile engine repairs, in the place of the played one.
        self.reconciled = False
        #: Publishes an intent in the place of a plan; False: the plan is published.
        self.intends: Callable[[str], bool] = lambda _symbol: False
        self.symbols = list(venue.unannounced)
        self.consumers = Consumers(books, venue, redis, redis_clock, keys, rng, trace)
        self.publisher = Publisher(books, venue, redis, keys, rng, trace)
        self.plans = PlanMaker(venue, rng)
        self.repairs = Repairs(books, venue, redis, keys, rng, trace, self.plans, self.propose)
        self._books = books
        self._venue = venue
        self._redis = redis
        self._redis_clock = redis_clock
        self._keys = keys
        self._rng = rng
        self._wake = trio.Event()
        self._hands: trio.Nursery | None = None

    async def live(self, nursery: trio.Nursery) -> None:
        """Start everybody."""
        self.publisher.publish_universe()
        nursery.start_soon(self.publisher.keep_universe)
        if not self.reconciled:
            nursery.start_soon(self.repairs.repair, lambda: self.trading)

    def set_trading(self, on: bool) -> None:
        """Let publishers and market be busy, or at rest."""
        self.trading = on
        if on:
            self._wake.set()
        else:
            self._wake = trio.Event()

    async def trade(self, pause_sec: float) -> None:
        """Act at random moments, in bursts, while trading is on. Until cancelled."""
        rng = self._rng
        async with trio.open_nursery() as self._hands:
            while True:
                await self._wake.wait()
                await trio.sleep(rng.expovariate(1 / pause_sec))
                for _ in range(rng.choice((1, 1, 2, 3, 6))):
                    if self.trading:
                        self._act(self._hands)
                        await trio.sleep(rng.choice((0.0, 0.001, 0.02, 0.2)))

    def _act(self, hands: trio.Nursery) -> None:
        rng = self._rng
        draw = rng.random()
        symbol = rng.choice(self.symbols)
        if draw < 0.53:
            self._propose(symbol, hands)
        elif draw < 0.54:
            self._follow(DELISTED, *self.plans.of_delisted(DELISTED, symbol), hands)
        elif draw < 0.55:
            self.publisher.intend(symbol)
        elif draw < 0.90:
            # What others trade has to be settled by a person: so there is less of it.
            if self.reconciled and draw < _MANAGED:
                self._propose(symbol, hands)
            else:
                self.move(symbol)
        elif draw < 0.93:
            self._redis.set(self._keys.hold(symbol), "1", ttl_ms=rng.randint(100, 8000))
        elif draw < 0.95:
            if not self.reconciled:
                self._redis.delete(self._keys.hold(symbol))
        elif draw < 0.97:
            self._report_nonsense(symbol)
        elif draw < 0.98:
            self._redis.set(self._keys.cooldown(symbol), str(self._redis_clock.now_ms()))
        else:
            self.publisher.unlist_one()

    def move(self, symbol: str, *, announced: bool = True) -> None:
        """Trade as another party: by hand, a stop order, a liquidation."""
        rng, venue = self._rng, self._venue
        leg = rng.choice(venue.legs_of(symbol))
        amount, step = venue.amount(symbol, leg), venue.symbol(symbol).step_size
        if amount and rng.random() < 0.3:
            cause = rng.choice(_CAUSES)
            external_events.move_position(
                venue, symbol, target=ZERO, position_side=leg, cause=cause, announced=announced
            )
            return
        delta = (
            step * rng.randint(1, 9) * (1 if leg == "LONG" else -1 if leg == "SHORT" else rng.choice((1, -1)))
        )
        for _ in range(rng.choice((1, 1, 1, 3))):
            external_events.move_position(venue, symbol, delta=delta, position_side=leg, announced=announced)

    def _propose(self, symbol: str, hands: trio.Nursery) -> None:
        rng = self._rng
        if self.intends(symbol):
            return
        if rng.random() < 0.06 and self._books.published:
            again = rng.choice(list(self._books.published)[-50:])
            self.publisher.publish(self._books.published[again])
            return
        self._follow(symbol, *self.plans.any(symbol), hands)

    def propose(self, symbol: str, fields: Fields, special: str = "") -> None:
        """Publish a plan, and let a consumer execute it."""
        plan = self.publisher.new_plan(symbol, fields, special)
        self.publisher.publish(plan)
        self.hand_over(plan)

    def hand_over(self, plan: Published) -> None:
        """Let a consumer execute a plan that is published."""
        if self._hands is not None:
            self._hand_over(plan, self._hands)

    def adopt(self, plan: Published) -> None:
        """Let a consumer execute a plan of the service's own bridge."""
        if self._hands is not None and self.trading:
            self._hand_over(plan, self._hands)

    def _follow(self, symbol: str, fields: Fields, special: str, hands: trio.Nursery) -> None:
        """Publish a plan once or twice, and let a consumer wait for its permit, or give it up before."""
        rng = self._rng
        plan = self.publisher.new_plan(symbol, fields, special)
        # Where both permits are the service's own, its executor alone may say that of a plan.
        given_up = rng.random() < 0.03 and not isinstance(self.governor, ServiceGovernor)
        if given_up:
            self.consumers.report_refusal(plan.plan_id, symbol, "order rejected")
        for _ in range(rng.choice((1, 1, 1, 1, 2))):
            self.publisher.publish(plan)
        if not given_up:
            self._hand_over(plan, hands)

    def _hand_over(self, plan: Published, hands: trio.Nursery) -> None:
        """Let a consumer wait for the plan's permit, and the Governor judge it, where there are these."""
        if self.consume:
            self.consumers.follow(plan, hands)
        if self.governor is not None:
            hands.start_soon(self.governor.judge, plan)

    def _report_nonsense(self, symbol: str) -> None:
        fields = self._rng.choice(
            (
                {"plan_id": "nobody", "symbol": symbol, "executed": "True"},
                {"plan_id": "nobody", "symbol": symbol, "executed": "true", "details": "{"},
                {"executed": "perhaps"},
            )
        )
        self._books.bad_results.add(self._redis.xadd(self._keys.results, as_entry(fields)))
