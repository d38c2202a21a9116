"""Those who wait for permits: they take them, execute, report; or die, give up and come too late."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from random import Random

import trio

from brain.execution.orders import client_order_id
from brain.identifiers import PlanId
from simulator import MarketOrder
from simulator.errors import ApiError
from simulator.history import PositionSide
from simulator.orders import Order
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation import results
from tests.simulation.books import Books, Grant, OrderReport, OwnOrder, Published
from tests.simulation.clocks import SteppedClock
from tests.simulation.fields import as_entry, id_ahead
from tests.simulation.trace import Trace
from tests.simulation.venue import OWN, ZERO, Change, Venue

#: From taking a permit to the order's last fill, at most: well within the grace for executions.
EXECUTION_SEC = 4.0
_MOST_CONSUMERS = 60


class Consumers:
    """The executors of one seed's pipeline."""

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
        self._books = books
        self._venue = venue
        self._redis = redis
        self._redis_clock = redis_clock
        self._keys = keys
        self._rng = rng
        self._trace = trace
        self._decided: dict[str, trio.Event] = {}
        self._count = 0
        self._orders = 0
        #: The share of orders of which their executors learn nothing.
        self.unknown_share = 0.0
        self._sending: Grant | None = None
        #: Take the Governor's permit, where it gives any; answers whether the plan may be executed.
        self.may_take: Callable[[Published], bool] = lambda _plan: True
        #: Called with the entry and the order of each result that is published.
        self.on_report: Callable[[str, str], None] = lambda _entry_id, _order_id: None
        venue.on_change = self._on_change

    def on_decided(self, plan_id: str) -> None:
        """Wake the consumer that waits for this plan's permit."""
        waiting = self._decided.pop(plan_id, None)
        if waiting is not None:
            waiting.set()

    def follow(self, plan: Published, hands: trio.Nursery) -> None:
        """Start a consumer that waits for the plan's permit and acts on it."""
        if self._count < _MOST_CONSUMERS:
            self._count += 1
            waiting = self._decided[plan.plan_id] = trio.Event()
            hands.start_soon(self._consume, plan, waiting)

    async def _consume(self, plan: Published, decided: trio.Event) -> None:
        try:
            await self._consume_now(plan, decided)
        finally:
            self._count -= 1
            self._decided.pop(plan.plan_id, None)

    async def _consume_now(self, plan: Published, decided: trio.Event) -> None:
        rng, plan_id = self._rng, plan.plan_id
        patience_sec = rng.choice((1.2, 1.2, 1.2, 8.0))
        with trio.move_on_after(patience_sec):
            await decided.wait()
        key = self._keys.permit(plan_id)
        governor = rng.random()
        if governor < 0.08:
            # The Governor says no: P3.3's permit stays where it is, or never came.
            self.report_refusal(plan_id, plan.symbol, "permit_denied (Governor: daily_loss_limit)")
            return
        await trio.sleep(rng.choice((0.0, 0.001, 0.02, 0.3, 0.3, 2.0)))
        if governor < 0.14:
            return  # No consumer takes it.
        grant = self._books.grants.get(plan_id)
        if grant is not None and grant.taken:
            return
        if not self.may_take(plan):
            self.report_refusal(plan_id, plan.symbol, "permit_timeout (missing: Governor)")
            return
        text = self._redis.take(key)
        if text is None:
            if rng.random() < 0.5:
                self.report_refusal(plan_id, plan.symbol, "permit_timeout (missing: P3.3)")
            return
        permit = json.loads(text, parse_float=Decimal)
        self._trace.note(f"took {plan_id} {permit['allow']}")
        if not permit["allow"] or grant is None or grant.over:
            return
        grant.taken = True
        if rng.random() < 0.2:
            # Another consumer of the same plan comes too late, and says so.
            self.report_refusal(plan_id, plan.symbol, "permit_timeout (missing: P3.3)")
        await self._execute(plan, grant, text.decode())

    async def _execute(self, plan: Published, grant: Grant, permit: str) -> None:
        rng, venue = self._rng, self._venue
        until_sec = trio.current_time() + EXECUTION_SEC
        if rng.random() < self.unknown_share:
            await self._execute_blindly(plan, grant)
            return
        fate = rng.random()
        await trio.sleep(rng.choice((0.0, 0.01, 0.1, 0.5, 1.5)))
        if fate < 0.08:
            grant.left, grant.over = ZERO, True
            return  # It died with the permit in its hand.
        order = None
        if fate > 0.14:
            order = self._send(grant, partly=rng.random() < 0.35)
        if order is None:
            grant.left, grant.over = ZERO, True
            self._give_up(plan.plan_id, plan.symbol, permit if rng.random() < 0.3 else None)
            return
        reports: list[tuple[Decimal, str]] = []
        dies = rng.random() < 0.06
        while True:
            reports.append((order.executed, order.status))
            if order.is_final:
                grant.left, grant.over = ZERO, True
            if not dies and rng.random() < 0.8:
                self._report(plan, order, *reports[-1])
            if order.is_final:
                break
            await trio.sleep(rng.uniform(0.0, 0.9))
            if trio.current_time() > until_sec - 1 or rng.random() < 0.3:
                venue.end_order(order)
            else:
                self._fill_more(order, closes=grant.kind == "close")
        if rng.random() < 0.6:  # Not every executor writes it: then the ledger's order time counts alone.
            self._redis.set(self._keys.cooldown(plan.symbol), str(self._redis_clock.now_ms()))
        if dies:
            await trio.sleep(rng.uniform(4, 20))
        rng.shuffle(reports)
        for each in (*reports, *rng.choices(reports, k=rng.choice((0, 0, 1, 2)))):
            self._report(plan, order, *each)
            await trio.sleep(rng.choice((0.0, 0.01, 0.4)))

    async def _execute_blindly(self, plan: Published, grant: Grant) -> None:
        """Send an order, and learn nothing of it: it fills before that is said or later, partly, or never."""
        rng, venue = self._rng, self._venue
        late = rng.random() < 0.5
        # The exchange's events name the order: by the chain's id, or by one that the executor names or keeps.
        chain_id = client_order_id(self._keys.prefix, PlanId(plan.plan_id))
        order_name = rng.choice((chain_id, None))
        if late:
            self._report_unknown(plan, None)
            await trio.sleep(rng.choice((0.0, 0.05, 0.5, 2.0)))
        order = None
        if rng.random() < 0.7:
            order = self._send(grant, partly=rng.random() < 0.5, client_order_id=order_name)
        if not late:
            await trio.sleep(rng.choice((0.0, 0.05, 1.0)))
            named = order.client_order_id if order is not None and rng.random() < 0.5 else None
            self._report_unknown(plan, named)
        if order is None:
            # It never reached the exchange, which no service can know.
            grant.left, grant.over = ZERO, True
            return
        while not order.is_final:
            await trio.sleep(rng.uniform(0.1, 0.8))
            if rng.random() < 0.4:
                venue.end_order(order)
            else:
                self._fill_more(order, closes=grant.kind == "close")
        grant.left, grant.over = ZERO, True
        if rng.random() < 0.5:
            # The exchange was asked in the end.
            await trio.sleep(rng.choice((0.0, 1.0, 6.0)))
            self._report(plan, order, order.executed, order.status)

    def execute_unseen(self, plan: Published) -> bool:
        """Execute a plan, and say that the outcome is unknown. Answers whether an order was sent."""
        grant = self._books.grants[plan.plan_id]
        if self._redis.take(self._keys.permit(plan.plan_id)) is None:
            return False
        grant.taken = True
        chain_id = client_order_id(self._keys.prefix, PlanId(plan.plan_id))
        order = self._send(grant, partly=False, client_order_id=chain_id)
        self._report_unknown(plan, None)
        grant.left, grant.over = ZERO, True
        return order is not None

    def _report_unknown(self, plan: Published, client_order_id: str | None) -> None:
        self._books.unknown.add(plan.plan_id)
        for _ in range(self._rng.choice((1, 1, 2))):
            fields = results.unknown(plan.plan_id, plan.symbol, client_order_id, self._rng)
            self._redis.xadd(self._keys.results, as_entry(fields))
            self._trace.note(f"told {plan.plan_id} unknown")

    def _fill_more(self, order: Order, *, closes: bool) -> None:
        """Fill the order's rest, or half of it; a close no further than the position."""
        venue = self._venue
        wanted = order.remaining
        if self._rng.random() < 0.5:
            wanted = max(order.symbol.step_size, (wanted / 2).quantize(order.symbol.step_size, ROUND_DOWN))
        if closes:
            wanted = min(wanted, abs(venue.amount(order.symbol.name, order.position_side)))
        if wanted > 0:
            venue.fill_remainder(order, wanted)
        else:
            venue.end_order(order)

    def _send(self, grant: Grant, *, partly: bool, client_order_id: str | None = None) -> Order | None:
        venue = self._venue
        self._orders += 1
        venue.first_fill_share = Decimal("0.3") if partly else None
        closes = grant.kind == "close"
        self._sending = grant
        try:
            return venue.place_order(
                MarketOrder(
                    symbol=grant.symbol,
                    side="BUY" if grant.order_side == "BUY" else "SELL",
                    quantity=grant.quantity,
                    position_side=grant.leg,
                    reduce_only=closes and not venue.hedge_mode,
                    client_order_id=client_order_id or f"{OWN[0]}{self._orders}",
                )
            )
        except ApiError as refusal:
            self._trace.note(f"refused {grant.plan_id}: {refusal.code}")
            return None
        finally:
            venue.first_fill_share = None
            self._sending = None

    def _on_change(self, symbol: str, leg: PositionSide, change: Change) -> None:
        """Move the filled quantity from the allowed to the executed one."""
        self._trace.note(f"filled {symbol} {leg} {change.delta} -> {change.amount} own={change.own}")
        if not change.own:
            return
        order_id = str(change.order_id)
        if self._sending is not None:
            grant = self._sending
            self._books.orders[order_id] = OwnOrder(order_id, symbol, leg, grant.order_side, grant.plan_id)
        granted = self._books.grants.get(self._books.orders[order_id].plan_id)
        if granted is not None:
            granted.left -= abs(change.delta)

    def _report(self, plan: Published, order: Order, cumulative: Decimal, status: str) -> None:
        final = status != "PARTIALLY_FILLED"
        fields = results.executed(plan.plan_id, plan.fields, order, cumulative, status, self._rng)
        entry_id = self._redis.xadd(self._keys.results, as_entry(fields))
        report = OrderReport(str(order.order_id), plan.plan_id, cumulative, final)
        self._books.kept.reports[entry_id] = self._books.published_reports[entry_id] = report
        self._trace.note(f"told {plan.plan_id} {order.order_id} {cumulative} {status}")
        self.on_report(entry_id, str(order.order_id))

    def give_up(self, plan: Published) -> None:
        """Publish that the permit will not be used."""
        grant = self._books.grants.get(plan.plan_id)
        if grant is not None:
            grant.left, grant.over = ZERO, True
        self._give_up(plan.plan_id, plan.symbol)

    def _give_up(self, plan_id: str, symbol: str, permit: str | None = None) -> None:
        for _ in range(self._rng.choice((1, 1, 2))):
            fields = results.not_executed(plan_id, symbol, "order rejected", self._rng, permit)
            self._books.given_up[self._redis.xadd(self._keys.results, as_entry(fields))] = plan_id

    def report_refusal(self, plan_id: str, symbol: str, why: str, *, ahead_ms: int = 0) -> None:
        """Say that the plan will not be executed. With `ahead_ms`, an id so far ahead of Redis's clock."""
        fields = results.not_executed(plan_id, symbol, why, self._rng)
        self._redis.xadd(self._keys.results, as_entry(fields), entry_id=id_ahead(self._redis, ahead_ms))
