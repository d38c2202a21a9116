"""Some hundred plans a second for the Governor, an executor that acts on its permits, and their books."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from random import Random

import msgspec
import trio

from brain.governor.grants import rounded_up, utc_day
from simulator import Order, SimulatedExchange
from tests.integration.execution_load import opening
from tests.integration.governed_books import GovernedBooks, GrantOf, Limits
from tests.integration.governed_plans import KEYS, epoch_ms, knows_the_account, prices_are_known
from tests.integration.pipeline import PLANS, RESULTS, Fields, Pipeline, executed, full_close
from tests.integration.surroundings import SYMBOLS, trade
from tests.integration.waiting import until

_TICK_SEC = 0.02
_MOST_A_TICK = 40
_AGAIN_SHARE = 0.05
_SKIPPED_SHARE = 0.05
_REST_SEC = 0.2


class GovernedLoad:
    """Publishes plans; takes each permit once it is in the audit, trades, and reports what came of it.

    Some grants are refused after their permit is taken, some before, some filled in two parts, and some
    never heard of again. Plans and results are repeated.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        exchange: SimulatedExchange,
        seed: int,
        *,
        limits: Limits,
        plans_per_sec: int,
    ) -> None:
        self.books = GovernedBooks(limits)
        for symbol in SYMBOLS:  # else a fill's notional is another at each moment
            exchange.mark_prices.set_price(symbol, exchange.mark_price(symbol), hold=True)
        self._redis = pipeline.redis
        self._exchange = exchange
        self._random = Random(seed)  # noqa: S311 - the same load for the same seed
        self._plans_per_sec = plans_per_sec
        self._results: list[Fields] = []
        self._partial: list[tuple[float, Order, GrantOf]] = []
        self._read = "0"
        self._ended = False
        self._over = trio.Event()

    async def run(self) -> None:
        """Publish and act until `drained`."""
        began_sec, sent = trio.current_time(), 0
        while not self._ended:
            due = int((trio.current_time() - began_sec) * self._plans_per_sec) - sent
            self._publish(min(due, _MOST_A_TICK))
            sent += min(due, _MOST_A_TICK)
            self.act()
            await trio.sleep(_TICK_SEC)
        self._over.set()

    async def governor_reads(self, url: str) -> None:
        """Wait until the Governor knows the account, and all marks of prices."""
        await knows_the_account(url)
        await prices_are_known(self._redis, *SYMBOLS)

    async def more_is_granted(self, plans: int, within_sec: float) -> None:
        """Wait until so many orders more are granted."""
        before = len(self.books.grants)
        await until(lambda: len(self.books.grants) >= before + plans, f"{plans} more grants", within_sec)

    async def drained(self, within_sec: float) -> None:
        """Publish no more plans, and wait until all is acknowledged and no grant lives."""
        self._ended = True
        await self._over.wait()

        def quiet() -> bool:
            self.act()
            groups = {
                each["name"]: each for key in (PLANS, RESULTS) for each in self._redis.xinfo_groups(key)
            }
            own = [groups[name] for name in (KEYS.plans.group, KEYS.results.group)]
            left = any(each["pending"] or each["lag"] for each in own)
            return not (left or self._partial or self._redis.exists(KEYS.reserved))

        await until(quiet, "all plans and results are acknowledged and all grants settled", within_sec)

    def _publish(self, count: int) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for _ in range(count):
            for plan_id, fields in self._next():
                pipe.xadd(PLANS, {"plan_id": plan_id, **fields})
        pipe.execute()

    def _next(self) -> Iterator[tuple[str, Fields]]:
        random, published = self._random, self.books.published
        symbol, plan_id = random.choice(SYMBOLS), f"plan-{len(published)}"
        closes = random.random() < 0.5
        fields = full_close(symbol) if closes else opening(self._exchange.symbol(symbol))
        fields["kill_score"] = f"{random.random():.3f}"
        if random.random() < _SKIPPED_SHARE:
            fields["decision"] = random.choice(("SKIP", "HOLD"))
        published[plan_id] = fields
        yield plan_id, fields
        if random.random() < _AGAIN_SHARE:
            again = f"plan-{max(0, len(published) - random.randint(1, 500))}"
            yield again, published[again]

    def act(self) -> None:
        """Act on the grants of new judgements, and report."""
        for entry_id, row in self._redis.xrange(KEYS.audit, min=f"({self._read}"):
            self._read = entry_id
            grant = self.books.judgement(epoch_ms(entry_id), row)
            if grant is not None:
                self._execute(grant)
        now_sec = trio.current_time()
        while self._partial and self._partial[0][0] <= now_sec:
            _, order, grant = self._partial.pop(0)
            self._exchange.fill_remainder(order)
            self._report(grant, order)
        self._send()

    def _execute(self, grant: GrantOf) -> None:
        share = self._random.random()
        if share < 0.1:
            return  # nothing is heard of it again
        key = KEYS.permit(grant.plan_id)
        if share < 0.2:
            # Denied by another permit: the Governor's stays where it is.
            grant.denied = True
            self._refuse(grant, "permit_denied (P3.3: no_exchange_snapshot)")
            return
        if self._redis.getdel(key) is None:
            return  # too late: its time is over
        held = self._exchange.position(grant.symbol).amount
        if share < (0.4 if grant.enters else 0.8) or not (grant.enters or held):
            self._refuse(grant, "order rejected")
            return
        self._exchange.first_fill_share = Decimal("0.5") if grant.enters and share > 0.85 else None
        quantity = self.books.published[grant.plan_id]["qty"] if grant.enters else str(held)
        order = trade(self._exchange, grant.symbol, "BUY" if grant.enters else "SELL", quantity)
        self._report(grant, order)
        if not order.is_final:
            self._partial.append((trio.current_time() + _REST_SEC, order, grant))

    def _refuse(self, grant: GrantOf, error: str) -> None:
        self._results.append(
            {"plan_id": grant.plan_id, "symbol": grant.symbol, "executed": "false", "error": error}
        )

    def _report(self, grant: GrantOf, order: Order) -> None:
        price = order.average_price
        fields = executed(grant.plan_id, grant.symbol, order.order_id, order.side, order.executed)
        fields |= {"order_status": order.status, "avg_price": f"{price:f}"}
        grant.filled = rounded_up(order.executed * price)
        self._results += [fields] * (2 if self._random.random() < _AGAIN_SHARE else 1)

    def _send(self) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for fields in self._results:
            pipe.xadd(RESULTS, fields)
        ids = pipe.execute()
        for entry_id, fields in zip(ids, self._results, strict=True):
            self.books.reported(fields["plan_id"], epoch_ms(entry_id))
        self._results.clear()

    def assert_counts_agree(self) -> Counter[str]:
        """Compare every count in Redis with the books; return the judgements by their reasons."""
        books, redis = self.books, self._redis
        reasons = books.assert_judged_once()
        books.assert_limits_held()
        windows: defaultdict[str, dict[str, float]] = defaultdict(dict)
        opened: defaultdict[str, Decimal] = defaultdict(Decimal)
        reduced: defaultdict[str, Decimal] = defaultdict(Decimal)
        for grant in books.grants.values():
            if grant.enters and grant.filled:
                windows[grant.symbol][grant.plan_id] = grant.granted_ms
            (opened if grant.enters else reduced)[grant.symbol] += grant.filled
        days = {utc_day(grant.granted_ms) for grant in books.grants.values()}
        for symbol in SYMBOLS:
            window = dict(redis.zrange(KEYS.window(symbol), 0, -1, withscores=True))
            assert window == windows[symbol], (symbol, window.keys() ^ windows[symbol].keys())
            listed = sorted((int(at_ms // 1000) for at_ms in window.values()), reverse=True)[:100]
            assert [int(each) for each in redis.lrange(KEYS.executions(symbol), 0, -1)] == listed, symbol
            if len(days) == 1:
                (day,) = days
                sums = [Decimal(redis.get(key(symbol, day)) or 0) for key in (KEYS.opened, KEYS.reduced)]
                assert sums == [opened[symbol], reduced[symbol]], (symbol, sums, opened[symbol])
            stats = redis.hgetall(KEYS.kill_stats(symbol))
            observed = sum(int(stats.get(f"{name}_n", 0)) for name in ("entry", "exit"))
            assert observed == books.observations(symbol), (symbol, stats)
        self._assert_expired()
        return reasons

    def _assert_expired(self) -> None:
        """Check that each grant without any word has expired, once.

        So may one whose denial was read when its permit was gone: another executor may have taken that.
        """
        events = [row for _, row in self._redis.xrange(KEYS.events) if row["event"] == "GRANT_EXPIRED"]
        expired = Counter(msgspec.json.decode(row["context"])["plan_id"] for row in events)
        grants = self.books.grants
        silent = {plan_id for plan_id, grant in grants.items() if grant.result_ms is None}
        assert silent <= expired.keys(), silent - expired.keys()
        others = {plan_id for plan_id in expired.keys() - silent if not grants[plan_id].denied}
        assert not others and set(expired.values()) <= {1}, (others, expired.most_common(2))
