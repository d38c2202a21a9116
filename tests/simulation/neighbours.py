"""Everybody around the service: publishers, consumers that execute or die, operators, other traders."""

from __future__ import annotations

import json
from decimal import ROUND_DOWN, Decimal
from random import Random

import trio

from simulator import MarketOrder, outside
from simulator.errors import ApiError
from simulator.history import PositionSide
from simulator.orders import Order
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation import results
from tests.simulation.books import Books, Grant, OwnOrder, Published, Told
from tests.simulation.clocks import SteppedClock, true_ms
from tests.simulation.plans import Fields, PlanMaker
from tests.simulation.trace import Trace
from tests.simulation.venue import OWN, ZERO, Change, Leg, Venue

#: From taking a permit to the order's last fill, at most: well within the grace for executions.
EXECUTION_SEC = 4.0
_UNIVERSE_SEC = 60.0
_UNLISTED_SEC = 180.0
_REPAIR_SEC = 10.0
_MOST_CONSUMERS = 60
_CAUSES: tuple[outside.Cause, ...] = ("liquidation", "adl", "settlement", "stop")


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
        self.symbols = list(venue.untold)
        self.listed: list[tuple[int, frozenset[str]]] = []
        self._books = books
        self._venue = venue
        self._redis = redis
        self._redis_clock = redis_clock
        self._keys = keys
        self._rng = rng
        self._trace = trace
        self._plans = PlanMaker(venue, rng)
        self._decided: dict[str, trio.Event] = {}
        self._consumers = 0
        self._numbers = 0
        self._drift: dict[Leg, Decimal] = {}
        self._wake = trio.Event()
        self._sending: Grant | None = None
        self._hands: trio.Nursery | None = None
        venue.on_change = self._on_change

    # What the others are told.

    def on_decided(self, plan_id: str) -> None:
        """Whoever waits for this plan's permit looks again."""
        waiting = self._decided.pop(plan_id, None)
        if waiting is not None:
            waiting.set()

    def may_open(self, symbol: str) -> bool:
        """Whether the symbol was in the universe at some moment of the last three readings of it."""
        since_ms = true_ms() - 45_000
        first = max((i for i, (at_ms, _) in enumerate(self.listed) if at_ms <= since_ms), default=0)
        return any(symbol in symbols for _, symbols in self.listed[first:])

    # Life.

    async def live(self, nursery: trio.Nursery) -> None:
        """Start everybody."""
        self.publish_universe(frozenset(self.symbols))
        nursery.start_soon(self._keep_universe)
        nursery.start_soon(self._repair)

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
        async with trio.open_nursery() as consumers:
            self._hands = consumers
            while True:
                await self._wake.wait()
                await trio.sleep(rng.expovariate(1 / pause_sec))
                for _ in range(rng.choice((1, 1, 2, 3, 6))):
                    if self.trading:
                        self._act(consumers)
                        await trio.sleep(rng.choice((0.0, 0.001, 0.02, 0.2)))

    def _act(self, consumers: trio.Nursery) -> None:
        rng = self._rng
        draw = rng.random()
        symbol = rng.choice(self.symbols)
        if draw < 0.55:
            self._propose(symbol, consumers)
        elif draw < 0.90:
            self.move(symbol)
        elif draw < 0.93:
            self._redis.set(self._keys.hold(symbol), "1", ttl_ms=rng.randint(100, 8000))
        elif draw < 0.95:
            self._redis.delete(self._keys.hold(symbol))
        elif draw < 0.97:
            self._tell_nonsense(symbol)
        elif draw < 0.98:
            self._redis.set(self._keys.cooldown(symbol), str(self._redis_clock.now_ms()))
        else:
            # The same one for a while, so that it stays out for longer than lists are read.
            out = self.symbols[int(trio.current_time() // _UNLISTED_SEC) % len(self.symbols)]
            self.publish_universe(frozenset(self.symbols) - {out})

    def move(self, symbol: str, *, announced: bool = True) -> None:
        """Somebody else trades: a person, a stop order, a liquidation."""
        rng, venue = self._rng, self._venue
        leg = rng.choice(venue.legs_of(symbol))
        amount, step = venue.amount(symbol, leg), venue.symbol(symbol).step_size
        if amount and rng.random() < 0.3:
            cause = rng.choice(_CAUSES)
            outside.move_position(
                venue, symbol, target=ZERO, position_side=leg, cause=cause, announced=announced
            )
            return
        delta = (
            step * rng.randint(1, 9) * (1 if leg == "LONG" else -1 if leg == "SHORT" else rng.choice((1, -1)))
        )
        for _ in range(rng.choice((1, 1, 1, 3))):
            outside.move_position(venue, symbol, delta=delta, position_side=leg, announced=announced)

    def _propose(self, symbol: str, consumers: trio.Nursery) -> None:
        rng = self._rng
        old = rng.random() < 0.06 and self._books.published
        if old:
            again = rng.choice(list(self._books.published)[-50:])
            self.publish(self._books.published[again])
            return
        fields, special = self._plans.any(symbol)
        plan = self.new_plan(symbol, fields, special)
        given_up = rng.random() < 0.03
        if given_up:
            # Its consumer has given it up before it is decided, or while it is.
            self._tell_refusal(plan.plan_id, symbol, "order rejected")
        for _ in range(rng.choice((1, 1, 1, 1, 2))):
            self.publish(plan)
        if not given_up:
            self._follow(plan, consumers)

    def stop_loss_update(self, symbol: str) -> Fields:
        """A plan for which nothing may be executed."""
        return self._plans.stop_loss_update(symbol)

    def new_plan(self, symbol: str, fields: Fields, special: str = "") -> Published:
        """A plan with an id of its own."""
        self._numbers += 1
        plan = Published(
            f"plan-{self._numbers}",
            symbol,
            fields,
            wants=special != "skip",
            expired=special == "expired",
            malformed=special == "malformed",
            entry_ids=[],
        )
        self._books.published[plan.plan_id] = plan
        return plan

    def publish(self, plan: Published) -> str:
        """Put it on the stream; the entry's id."""
        entry_id = self._redis.xadd(self._keys.plans, as_entry({"plan_id": plan.plan_id} | plan.fields))
        plan.entry_ids.append(entry_id)
        self._books.plan_of_entry[entry_id] = plan.plan_id
        self._trace.note(f"plan {plan.plan_id} {plan.symbol} {plan.fields.get('action')} {entry_id}")
        return entry_id

    def _follow(self, plan: Published, consumers: trio.Nursery) -> None:
        if self._consumers < _MOST_CONSUMERS:
            self._consumers += 1
            waiting = self._decided[plan.plan_id] = trio.Event()
            consumers.start_soon(self._consume, plan, waiting)

    async def _consume(self, plan: Published, decided: trio.Event) -> None:
        try:
            await self._consume_now(plan, decided)
        finally:
            self._consumers -= 1
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
            self._tell_refusal(plan_id, plan.symbol, "permit_denied (Governor: daily_loss_limit)")
            return
        await trio.sleep(rng.choice((0.0, 0.001, 0.02, 0.3, 0.3, 2.0)))
        if governor < 0.14:
            return  # Nobody comes for it.
        grant = self._books.grants.get(plan_id)
        if grant is not None and grant.taken:
            return
        text = self._redis.take(key)
        if text is None:
            if rng.random() < 0.5:
                self._tell_refusal(plan_id, plan.symbol, "permit_timeout (missing: P3.3)")
            return
        permit = json.loads(text, parse_float=Decimal)
        self._trace.note(f"took {plan_id} {permit['allow']}")
        if not permit["allow"] or grant is None or grant.over:
            return
        grant.taken = True
        if rng.random() < 0.2:
            # Another consumer of the same plan comes too late, and says so.
            self._tell_refusal(plan_id, plan.symbol, "permit_timeout (missing: P3.3)")
        await self._execute(plan, grant)

    async def _execute(self, plan: Published, grant: Grant) -> None:
        rng, venue = self._rng, self._venue
        until_sec = trio.current_time() + EXECUTION_SEC
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
            self._give_up(plan.plan_id, plan.symbol)
            return
        told: list[tuple[Decimal, str]] = []
        dies = rng.random() < 0.06
        while True:
            told.append((order.executed, order.status))
            if order.is_final:
                grant.left, grant.over = ZERO, True
            if not dies and rng.random() < 0.8:
                self._tell(plan, order, *told[-1])
            if order.is_final:
                break
            await trio.sleep(rng.uniform(0.0, 0.9))
            if trio.current_time() > until_sec - 1 or rng.random() < 0.3:
                venue.expire_remainder(order)
            else:
                self._fill_more(order, closes=grant.kind == "close")
        self._redis.set(self._keys.cooldown(plan.symbol), str(self._redis_clock.now_ms()))
        if dies:
            await trio.sleep(rng.uniform(4, 20))
        rng.shuffle(told)
        for each in (*told, *rng.choices(told, k=rng.choice((0, 0, 1, 2)))):
            self._tell(plan, order, *each)
            await trio.sleep(rng.choice((0.0, 0.01, 0.4)))

    def _fill_more(self, order: Order, *, closes: bool) -> None:
        """The order's rest, or half of it; a close no further than there is something to close."""
        venue = self._venue
        wanted = order.remaining
        if self._rng.random() < 0.5:
            wanted = max(order.symbol.step_size, (wanted / 2).quantize(order.symbol.step_size, ROUND_DOWN))
        if closes:
            wanted = min(wanted, abs(venue.amount(order.symbol.name, order.position_side)))
        if wanted > 0:
            venue.fill_remainder(order, wanted)
        else:
            venue.expire_remainder(order)

    def _send(self, grant: Grant, *, partly: bool) -> Order | None:
        venue = self._venue
        self._numbers += 1
        venue.first_fill_share = Decimal("0.3") if partly else None
        closes = grant.kind == "close"
        self._sending = grant
        try:
            return venue.place_market_order(
                MarketOrder(
                    symbol=grant.symbol,
                    side="BUY" if grant.order_side == "BUY" else "SELL",
                    quantity=grant.quantity,
                    position_side=grant.leg,
                    reduce_only=closes and not venue.hedge_mode,
                    client_order_id=f"{OWN}{self._numbers}",
                )
            )
        except ApiError as refusal:
            self._trace.note(f"refused {grant.plan_id}: {refusal.code}")
            return None
        finally:
            venue.first_fill_share = None
            self._sending = None

    def _on_change(self, symbol: str, leg: PositionSide, change: Change) -> None:
        """What is filled was allowed until now, and is no more."""
        self._trace.note(f"filled {symbol} {leg} {change.delta} -> {change.amount} own={change.own}")
        if not change.own:
            return
        order_id = str(change.order_id)
        if self._sending is not None:
            grant = self._sending
            self._books.orders[order_id] = OwnOrder(order_id, symbol, leg, grant.order_side, grant.plan_id)
        grant = self._books.grants[self._books.orders[order_id].plan_id]
        grant.left -= abs(change.delta)

    def _tell(self, plan: Published, order: Order, cumulative: Decimal, status: str) -> None:
        final = status != "PARTIALLY_FILLED"
        fields = results.executed(plan.plan_id, plan.fields, order, cumulative, status, self._rng)
        entry_id = self._redis.xadd(self._keys.results, as_entry(fields))
        self._books.kept.told[entry_id] = Told(str(order.order_id), plan.plan_id, cumulative, final)
        self._trace.note(f"told {plan.plan_id} {order.order_id} {cumulative} {status}")

    def _give_up(self, plan_id: str, symbol: str) -> None:
        for _ in range(self._rng.choice((1, 1, 2))):
            fields = results.not_executed(plan_id, symbol, "order rejected", self._rng)
            self._books.given_up[self._redis.xadd(self._keys.results, as_entry(fields))] = plan_id

    def _tell_refusal(self, plan_id: str, symbol: str, why: str) -> None:
        fields = results.not_executed(plan_id, symbol, why, self._rng)
        self._redis.xadd(self._keys.results, as_entry(fields))

    def _tell_nonsense(self, symbol: str) -> None:
        fields = self._rng.choice(
            (
                {"plan_id": "nobody", "symbol": symbol, "executed": "True"},
                {"plan_id": "nobody", "symbol": symbol, "executed": "true", "details": "{"},
                {"executed": "perhaps"},
            )
        )
        self._books.bad_results.add(self._redis.xadd(self._keys.results, as_entry(fields)))

    # Those who keep the house.

    def publish_universe(self, symbols: frozenset[str]) -> None:
        """The universe service's word."""
        asof = true_ms() // 1000
        text = json.dumps({"asof_epoch": asof, "symbols": sorted(symbols)})
        self._redis.set(self._keys.universe_active, text)
        self._redis.set(self._keys.universe_last_ok, text)
        meta = {"stale": "0", "count": str(len(symbols)), "asof_epoch": str(asof), "error": ""}
        self._redis.hset(self._keys.universe_meta, as_entry(meta))
        self.listed.append((true_ms(), symbols))

    async def _keep_universe(self) -> None:
        while True:
            for _ in range(round(_UNLISTED_SEC / _UNIVERSE_SEC) - 1):
                await trio.sleep(_UNIVERSE_SEC)
                self.publish_universe(self.listed[-1][1])
            await trio.sleep(_UNIVERSE_SEC)
            self.publish_universe(frozenset(self.symbols))

    async def _repair(self) -> None:
        """What P3.4 and operators do about a drift that stays: a guarded close, or a correction by hand."""
        while True:
            await trio.sleep(_REPAIR_SEC)
            if not self.trading:
                continue
            for symbol in self.symbols:
                for leg in self._venue.legs_of(symbol):
                    # One hand at a time: a correction sets all legs, and a close under way would be in it.
                    if self._repair_leg(symbol, leg):
                        break

    def _repair_leg(self, symbol: str, leg: PositionSide) -> bool:
        books, venue = self._books, self._venue
        ledger = books.kept.ledger.get((symbol, leg))
        if ledger is None:
            return False
        amount = venue.amount(symbol, leg)
        drift = amount - ledger
        seen = self._drift.get((symbol, leg))
        self._drift[symbol, leg] = drift
        if not drift or seen != drift or self._in_hand(symbol):
            return False
        if abs(amount) > abs(ledger) and amount * ledger >= 0 and self._rng.random() < 0.6:
            self._redis.set(self._keys.hold(symbol), "1", ttl_ms=4000)
            plan = self.new_plan(symbol, self._plans.reconcile_close(symbol, leg, drift))
            self.publish(plan)
            if self._hands is not None:
                self._follow(plan, self._hands)
        else:
            self.correct(symbol)
        return True

    def _in_hand(self, symbol: str) -> bool:
        return any(
            grant.taken and not grant.over and grant.symbol == symbol for grant in self._books.grants.values()
        )

    def correct(self, symbol: str) -> None:
        """An operator sets the ledger to what the exchange shows."""
        legs = self._venue.legs_of(symbol)
        amounts = {leg: self._venue.amount(symbol, leg) for leg in legs}
        fields = {"last_known_amt": f"{sum(amounts.values(), ZERO):f}"}
        if legs != ["BOTH"]:
            fields |= {"long_amt": f"{amounts['LONG']:f}", "short_amt": f"{amounts['SHORT']:f}"}
        if not self._redis.hgetall(self._keys.ledger(symbol)):
            return
        self._redis.hset(self._keys.ledger(symbol), as_entry(fields))
        for leg, amount in amounts.items():
            self._books.kept.ledger[symbol, leg] = amount
        self._trace.note(f"corrected {symbol} {fields}")


def as_entry(fields: Fields) -> dict[str | bytes, str | bytes]:
    """Fields as Redis takes them."""
    return dict(fields.items())
