"""Plans with permits of a Governor, 50 a second, and what must hold of the orders that come of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from random import Random

import trio

from brain.execution.reasons import EVALUATION_FAILED
from simulator.symbols import Symbol
from tests.integration.exchange_process import ExchangeProcess
from tests.integration.pipeline import PLANS, RESULTS, Fields, Pipeline, entry, full_close
from tests.integration.played_governor import PlayedGovernor, permit_of, plain
from tests.integration.waiting import until

_TICK_SEC = 0.02
_MOST_A_TICK = 25
_NOTIONAL_USDT = 20
_PERMIT_TTL_SEC = 60
_NUMBERS = re.compile(r"\d+(\.\d+)?(?= s old)")


def usual_symbols(symbols: dict[str, Symbol], number: int) -> list[Symbol]:
    """Return so many symbols of which a small order may be sent."""
    found = [each for each in symbols.values() if each.step_size * each.first_price <= _NOTIONAL_USDT]
    return found[:number]


def opening(symbol: Symbol) -> dict[str, str]:
    """Return a plan that opens a small position."""
    units = (Decimal(_NOTIONAL_USDT) / symbol.first_price / symbol.step_size).to_integral_value() + 1
    return entry(symbol.name, f"{units * symbol.step_size:f}")


class ExecutionLoad:
    """Opens and closes each symbol in turn; some plans are not granted, ask for no order, or come twice."""

    def __init__(
        self,
        pipeline: Pipeline,
        exchange: ExchangeProcess,
        seed: int,
        *,
        symbols: list[Symbol],
        plans_per_sec: int,
    ) -> None:
        self.governor = PlayedGovernor(pipeline)
        self.published: dict[str, Fields] = {}
        self._pipeline = pipeline
        self._exchange = exchange
        self._random = Random(seed)  # noqa: S311 - the same load for the same seed
        self._plans_per_sec = plans_per_sec
        self._plans = self._make_plans(symbols)
        self._ended = False
        self._over = trio.Event()
        self.executed = 0

    async def run(self) -> None:
        """Publish until `drained`."""
        began_sec, sent = trio.current_time(), 0
        while not self._ended:
            due = int((trio.current_time() - began_sec) * self._plans_per_sec) - sent
            for _ in range(min(due, _MOST_A_TICK)):
                self._publish(*next(self._plans))
                sent += 1
            self._read()
            await trio.sleep(_TICK_SEC)
        self._over.set()

    def _make_plans(self, symbols: list[Symbol]) -> Iterator[tuple[str, Fields]]:
        for turn in count():
            for symbol in symbols:
                plan = full_close(symbol.name) if turn % 2 else opening(symbol)
                if self._random.random() < 0.05:
                    plan["decision"] = self._random.choice(("SKIP", "HOLD", "BLOCKED"))
                yield f"plan-{len(self.published)}", plan

    def _publish(self, plan_id: str, fields: Fields) -> None:
        pipe = self._pipeline.redis.pipeline(transaction=False)
        for _ in range(1 if self._random.random() < 0.95 else 2):
            pipe.xadd(PLANS, {"plan_id": plan_id, **fields})
        if self._random.random() < 0.95:
            pipe.set(f"quantum:permit:{plan_id}", permit_of(fields), ex=_PERMIT_TTL_SEC)
        pipe.execute()
        self.published[plan_id] = fields

    def _read(self) -> None:
        self.executed += sum(row["executed"] == "true" for row in self.governor.read_results())

    async def more_is_executed(self, orders: int, within_sec: float) -> None:
        """Wait until so many results more have fills."""
        before = self.executed
        await until(lambda: self.executed >= before + orders, f"{orders} more fills", within_sec)

    async def drained(self, within_sec: float) -> None:
        """Publish no more, and wait until every plan is acknowledged and every order is final."""
        self._ended = True
        await self._over.wait()
        await self.governor.all_end(self.published, within_sec)
        await until(self._nothing_pends, "every plan and result is acknowledged", within_sec)
        await until(self.governor.nothing_open, "no order and no hold", within_sec)

    def _nothing_pends(self) -> bool:
        wanted = {PLANS: {"p33", "intent_executor"}, RESULTS: {"p33"}}
        for stream, names in wanted.items():
            groups = {each["name"]: each for each in self._pipeline.redis.xinfo_groups(stream)}
            if any(groups[name]["pending"] or groups[name]["lag"] for name in names):
                return False
        return True

    async def assert_books_agree(self) -> Counter[str]:
        """Check orders against results and ledgers against positions; return the plans by how they ended."""
        orders = [plain(row) for row in await self._exchange.look("orders")]
        self.governor.assert_results_fit(orders, self.published)
        results = self.governor.results
        held = {row["symbol"]: Decimal(row["amount"]) for row in await self._exchange.look("positions")}
        symbols = {fields["symbol"] for fields in self.published.values()}
        amounts = {name: Decimal(self._pipeline.ledger_amount(name) or 0) for name in symbols}
        pairs = {name: (amount, held.get(name, Decimal(0))) for name, amount in amounts.items()}
        wrong = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        assert not wrong, wrong
        assert self._pipeline.dead_letters(RESULTS) == []
        # A plan that three lives in a row have begun to decide, or to execute, is poison for that role.
        dead = {letter["plan_id"] for letter in self._pipeline.dead_letters(PLANS)}
        failed = {plan_id for plan_id, rows in results.items() if rows[-1]["error"] == EVALUATION_FAILED}
        executed = {plan_id for plan_id, rows in results.items() if rows[-1]["executed"] == "true"}
        assert failed <= dead and not dead & executed, (failed - dead, dead & executed)
        return Counter(
            "executed" if rows[-1]["executed"] == "true" else without_numbers(rows[-1]["error"])
            for rows in results.values()
        )


def without_numbers(error: str) -> str:
    """Return an error without its numbers."""
    return _NUMBERS.sub("…", error)
