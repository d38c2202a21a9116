"""Publishers and consumers under load: some hundred plans and results a second, and orders on permits."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import Any

import msgspec
import redis
import trio

from simulator import MarketOrder, Order, RunningSimulator
from tests.integration.pipeline import AUDIT, PLANS, RESULTS, Fields, Pipeline, entry, full_close
from tests.integration.surroundings import SYMBOLS, trade
from tests.integration.test_ledger_sum import DIALECTS, OrderReport, plain, report_of, sums
from tests.integration.waiting import until

#: Traded on permits alone; the others by orders of plans that this service was never asked about.
PLANNED, UNPLANNED = SYMBOLS[:8], SYMBOLS[8:]
#: Abandoned permits are soon over, and many starts within a minute ask the exchange for much.
SETTINGS = {"P33_PERMIT_TTL": "3", "P33_EXECUTION_GRACE_SEC": "12", "P33_WEIGHT_BUDGET_PER_MIN": "2400"}

_TICK_SEC = 0.02
_MOST_A_TICK = 40
_AGAIN_SHARE = 0.1
_ASKED_AGAIN = 2_000
_AHEAD, _AHEAD_SEC = 200, 60.0


class _Record(msgspec.Struct):
    issued_by: str


class Decided(msgspec.Struct, frozen=True):
    """An entry of the audit stream, in its order. `at_ms` is Redis's clock."""

    at_ms: int
    plan_id: str
    allow: bool
    reason: str
    instance: str


class TradingLoad:
    """Runs beside the daemon; what it has published and seen is compared at the end."""

    def __init__(
        self,
        pipeline: Pipeline,
        simulator: RunningSimulator,
        seed: int,
        *,
        plans_per_sec: int,
        results_per_sec: int,
        redis_goes_away: bool = False,
    ) -> None:
        """`redis_goes_away`: a call that Redis fails is made again, as publishers do; else it is an error."""
        self._pipeline = pipeline
        self._redis = pipeline.redis
        self._exchange = simulator.exchange
        self._random = Random(seed)  # noqa: S311 - the same load for the same seed
        self._plans_per_sec = plans_per_sec
        self._results_per_sec = results_per_sec
        self._redis_goes_away = redis_goes_away
        self._outbox: list[tuple[str, Fields]] = []
        self._reports_sent = 0
        self._audited = "0"
        self._ended = False
        self._over = trio.Event()
        self._talking = trio.Lock()
        self._plan_ids: list[str] = []
        self._lost = 0
        self._ran_sec = 0.0
        self._plans = self._results = 0
        self.published: dict[str, Fields] = {}
        self.skipped: set[str] = set()
        self.taken: Counter[str] = Counter()
        self.reports: list[OrderReport] = []
        self.decided: list[Decided] = []

    async def run(self) -> None:
        """Publish and consume until `drained`; a permit is taken as soon as it is in the audit."""
        began_sec = trio.current_time()
        while not self._ended:
            self._ran_sec = trio.current_time() - began_sec
            for _ in range(min(int(self._ran_sec * self._plans_per_sec) - self._plans, _MOST_A_TICK)):
                self._plans += 1
                self._queue_plan()
            for _ in range(min(int(self._ran_sec * self._results_per_sec) - self._results, _MOST_A_TICK)):
                self._results += 1
                self._queue_result()
            await self._talk()
            await trio.sleep(_TICK_SEC)
        self._over.set()

    async def trades_ahead(self, orders: int) -> None:
        """Book so many orders without plans, bought and sold in turn, before `run`."""
        for number in range(orders):
            name = UNPLANNED[number // 2 % len(UNPLANNED)]
            quantity = self._exchange.symbol(name).step_size * 100
            order = trade(self._exchange, name, "SELL" if number % 2 else "BUY", str(quantity))
            self.reports.append(self._report(order, f"ahead-{number}"))
            self._publish_result(self.reports[-1])
            if len(self._outbox) == _AHEAD or number == orders - 1:
                self._send()
                await self._pipeline.nothing_pends(RESULTS, within_sec=_AHEAD_SEC)
        self._reports_sent = len(self.reports)

    def assert_rates(self) -> None:
        """Check the rates of plans and results, repeats among them; the last tick may have been long."""
        for number, per_sec in ((self._plans, self._plans_per_sec), (self._results, self._results_per_sec)):
            assert number > 0.9 * per_sec * self._ran_sec, (number, self._ran_sec)

    async def _talk(self) -> None:
        """Publish what waits and take what is allowed; in a thread, since Redis may let it wait."""
        async with self._talking:
            try:
                permits = await trio.to_thread.run_sync(self._send_and_take)
            except redis.RedisError:
                if not self._redis_goes_away:
                    raise
                return
        self._act_on(permits)

    async def loses_everything(self) -> None:
        """Empty Redis. Plans from before are gone with all their traces, and are not published again."""
        async with self._talking:
            self._outbox = [(stream, fields) for stream, fields in self._outbox if stream != PLANS]
            self._lost = len(self._plan_ids)
            self._redis.flushall()

    def _send_and_take(self) -> list[str]:
        self._send()
        return self._newly_allowed()

    def _queue_plan(self) -> None:
        random = self._random
        newest = self._plan_ids[max(self._lost, len(self._plan_ids) - _ASKED_AGAIN) :]
        if newest and random.random() < _AGAIN_SHARE:
            plan_id = random.choice(newest)
            self._outbox.append((PLANS, {"plan_id": plan_id, **self.published[plan_id]}))
            return
        plan_id = f"plan-{len(self.published)}"
        symbol = random.choice(PLANNED)
        fields: dict[str, str]
        if random.random() < 0.5:
            fields = full_close(symbol)
            fields["action"] = random.choice(("FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50"))
        else:
            side = "BUY" if PLANNED.index(symbol) % 2 else "SELL"
            fields = entry(symbol, f"{self._quantity(symbol):f}", side)
        if random.random() < 0.05:
            fields["decision"] = random.choice(("SKIP", "HOLD", "BLOCKED"))
            self.skipped.add(plan_id)
        self.published[plan_id] = fields
        self._plan_ids.append(plan_id)
        self._outbox.append((PLANS, {"plan_id": plan_id, **fields}))

    def _quantity(self, name: str) -> Decimal:
        symbol = self._exchange.symbol(name)
        quantity = symbol.step_size * self._random.randint(20, 60)
        while quantity * self._exchange.mark_price(name) < symbol.min_notional * 4:
            quantity *= 2
        return quantity

    def _queue_result(self) -> None:
        """Queue a new execution's result, else an old result again, else the result of a new order."""
        random = self._random
        if self._reports_sent < len(self.reports):
            self._publish_result(self.reports[self._reports_sent])
            self._reports_sent += 1
        elif self.reports and random.random() < 0.4:
            self._publish_result(random.choice(self.reports[-300:]))
        else:
            name = random.choice(UNPLANNED)
            side = random.choice(("BUY", "BUY", "SELL"))
            self._place(name, side, self._quantity(name), f"unplanned-{len(self.reports)}")

    def _place(self, name: str, side: str, quantity: Decimal, plan_id: str, *, closes: bool = False) -> None:
        """Place an order, in two parts at times; its results wait for their turn, in any order."""
        exchange = self._exchange
        exchange.first_fill_share = Decimal("0.3") if self._random.random() < 0.3 else None
        order = exchange.place_order(
            MarketOrder(
                symbol=name, side="BUY" if side == "BUY" else "SELL", quantity=quantity, reduce_only=closes
            )
        )
        shown = [self._report(order, plan_id)]
        if not order.is_final:
            exchange.fill_remainder(order)
            shown.append(self._report(order, plan_id))
            self._random.shuffle(shown)
        self.reports += shown

    @staticmethod
    def _report(order: Order, plan_id: str) -> OrderReport:
        return msgspec.structs.replace(report_of(order, 0), plan_id=plan_id)

    def _publish_result(self, shown: OrderReport) -> None:
        self._outbox.append((RESULTS, self._random.choice(DIALECTS)(shown)))

    def _send(self) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for stream, fields in self._outbox:
            pipe.xadd(stream, fields)
        pipe.execute()
        self._outbox.clear()

    async def take_permits(self) -> None:
        """See what was decided since, and act on what was allowed."""
        async with self._talking:
            permits = self._newly_allowed()
        self._act_on(permits)

    def _newly_allowed(self) -> list[str]:
        """Return the permits of what was decided since, consumed."""
        entries: list[tuple[str, dict[str, str]]] = self._redis.xrange(AUDIT, min=f"({self._audited}")
        if not entries:
            return []
        self._audited = entries[-1][0]
        pipe = self._redis.pipeline(transaction=False)
        for entry_id, fields in entries:
            at_ms = int(entry_id.partition("-")[0])
            instance = msgspec.json.decode(fields["record"], type=_Record).issued_by.split()[-1]
            allow = fields["allow"] == "true"
            self.decided.append(Decided(at_ms, fields["plan_id"], allow, fields["reason"], instance))
            abandoned = fields["reason"] == "sanity_checks_passed" and self._random.random() < 0.03
            if allow and not abandoned:
                pipe.getdel(f"quantum:permit:p33:{fields['plan_id']}")
        return [text for text in pipe.execute() if text is not None]

    def _act_on(self, permits: list[str]) -> None:
        for text in permits:
            self._act(json.loads(text, parse_float=Decimal, parse_int=Decimal))

    def _act(self, permit: dict[str, Any]) -> None:
        plan_id, symbol = permit["plan_id"], permit["symbol"]
        self.taken[plan_id] += 1
        if self._random.random() < 0.05:
            refused = {"plan_id": plan_id, "symbol": symbol, "executed": "False", "error": "order rejected"}
            self._outbox.append((RESULTS, refused))
            return
        closes = permit["kind"] == "close"
        quantity = permit["safe_close_qty"] if closes else Decimal(str(self.published[plan_id]["qty"]))
        if closes:
            held = self._exchange.position(symbol).amount
            assert quantity <= abs(held), f"{permit} of a position of {held}"
        self._place(symbol, permit["order_side"], quantity, plan_id, closes=closes)

    async def more_is_decided(self, within_sec: float = 20.0) -> None:
        """Wait until something is decided that was not yet when this was asked."""
        before = len(self.decided)
        await until(lambda: len(self.decided) > before, "it decides", within_sec)

    async def more_is_allowed(self, count: int, within_sec: float = 20.0) -> None:
        """Wait until so many permits are consumed that were not yet when this was asked."""
        before = self.taken.total()
        await until(lambda: self.taken.total() >= before + count, f"{count} permits", within_sec)

    async def decided_by(self, instance: str, within_sec: float) -> None:
        """Wait until the newest decision is that instance's."""
        await until(lambda: self.issuers()[-1:] == [instance], f"{instance} decides", within_sec)

    def issuers(self) -> list[str]:
        """Return the instances that decided, in the order in which they took over from each other."""
        return [name for name, _ in groupby(decided.instance for decided in self.decided)]

    async def drained(self, within_sec: float = 60.0) -> None:
        """Publish no more plans but all results that are left, and wait until all is acknowledged."""
        self._ended = True
        await self._over.wait()
        self._send()
        await self._pipeline.nothing_pends(PLANS, within_sec=within_sec)
        await self.take_permits()
        for shown in self.reports[self._reports_sent :]:
            self._publish_result(shown)
        self._reports_sent = len(self.reports)
        self._send()
        await self._pipeline.nothing_pends(PLANS, RESULTS, within_sec=within_sec)
        await self.take_permits()

    def assert_exactly_once(self) -> None:
        """Check for one decision and record a plan, no second permit, and a ledger that sums up the fills."""
        self.assert_decided_once()
        expected = sums(self.reports)
        assert set(expected) <= set(SYMBOLS) and len(expected) > len(UNPLANNED)
        for symbol, amount in expected.items():
            assert amount == self._exchange.position(symbol).amount, symbol
        self.assert_ledgers_follow_positions()

    def assert_decided_once(self) -> None:
        """No plan and no permit twice, and a decision for every plan that was not lost with all the rest."""
        counted = Counter(decided.plan_id for decided in self.decided)
        asked = {plan_id for plan_id in self.published if plan_id not in self.skipped}
        kept = {plan_id for plan_id in self._plan_ids[self._lost :] if plan_id in asked}
        undecided, unasked = kept - counted.keys(), counted.keys() - asked
        assert not undecided and not unasked, (undecided, unasked)
        for seen in (counted, self.taken):
            twice = [plan_id for plan_id, times in seen.items() if times > 1]
            assert not twice, twice

    def assert_ledgers_follow_positions(self) -> None:
        """Check that the ledgers equal the positions, which all come from reported fills."""
        mismatches = self.mismatches()
        assert not mismatches, mismatches
        dead = self._pipeline.dead_letters(RESULTS)
        assert not dead, dead

    def mismatches(self) -> dict[str, tuple[str | None, str]]:
        """Ledger and position of the symbols whose two differ."""
        pairs = {
            symbol: (self._pipeline.ledger_amount(symbol), plain(self._exchange.position(symbol).amount))
            for symbol in SYMBOLS
        }
        return {symbol: (ledger, held) for symbol, (ledger, held) in pairs.items() if ledger != held}
