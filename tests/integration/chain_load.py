"""Intents of every lane at an even rate, and all that the chain's streams show of what became of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random

import msgspec
import redis
import trio

from simulator.symbols import Symbol
from tests.integration.bridged import EXITS, HARVESTS, INTENTS, NAMES
from tests.integration.pipeline import PLANS, Pipeline
from tests.integration.played_governor import PlayedGovernor, is_last
from tests.integration.waiting import until_async

_TICK_SEC = 0.05
_MOST_A_TICK = 25
_ENTRY_USDT = 60
_AGAIN_SHARE = 0.1
_LANES = (INTENTS, EXITS, HARVESTS)

Published = tuple[str, dict[str, str]]


class Answer(msgspec.Struct, frozen=True):
    """What became of an intent. `plan_id`: of its plan, empty for a refusal."""

    reason: str
    plan_id: str


class ChainLoad:
    """Publishes entries, reductions, closes, harvests and exits; some are no intents, some come twice.

    A tick that Redis refuses or leaves open is left out: the streams alone say what was published.
    """

    def __init__(
        self, pipeline: Pipeline, seed: int, *, symbols: Sequence[Symbol], intents_per_sec: int
    ) -> None:
        self.intents: Counter[tuple[str, str]] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[str] = Counter()
        self.plans: Counter[str] = Counter()
        #: By the bridge's audit.
        self.planned: set[str] = set()
        self.executor = PlayedGovernor(pipeline)
        self.executed = 0
        self.left_out = 0
        self._pipeline = pipeline
        self._random = Random(seed)  # noqa: S311 - the same load for the same seed
        self._symbols = symbols
        self._intents_per_sec = intents_per_sec
        self._read_to = dict.fromkeys((*_LANES, NAMES.audit, PLANS), "0")
        self._number = 0
        self._ended = False
        self._over = trio.Event()
        #: A thread of its own waits for a Redis that is slow: the exchange of this process goes on.
        self._talking = trio.CapacityLimiter(1)

    async def run(self) -> None:
        """Publish and read until `ends`."""
        began_sec, sent = trio.current_time(), 0
        while not self._ended:
            due = int((trio.current_time() - began_sec) * self._intents_per_sec) - sent
            made = [self._make() for _ in range(min(due, _MOST_A_TICK))]
            # What was not due in time is due no more: a burst behind each fault would be another load.
            sent += due
            await self._talk(made)
            await trio.sleep(_TICK_SEC)
        self._over.set()

    async def ends(self) -> None:
        """Publish no more."""
        self._ended = True
        await self._over.wait()

    async def _talk(self, made: Sequence[Published]) -> bool:
        """Publish, and take in what is new; False where Redis did not answer."""
        return await trio.to_thread.run_sync(self._talk_now, made, limiter=self._talking)

    def _talk_now(self, made: Sequence[Published]) -> bool:
        try:
            if made:
                pipe = self._pipeline.redis.pipeline(transaction=False)
                for stream, fields in made:
                    pipe.xadd(stream, fields)
                pipe.execute()
            self._take_in()
        except redis.RedisError:
            self.left_out += len(made)
            return False
        return True

    def _take_in(self) -> None:
        for lane in _LANES:
            for entry_id, _ in self._new(lane):
                self.intents[lane.rpartition(":")[2], entry_id] += 1
        for _, row in self._new(PLANS):
            self.plans[row["plan_id"]] += 1
        for _, row in self._new(NAMES.audit):
            self.answers[row["stream"], row["entry_id"]] += 1
            self.reasons[row["reason"] or row["outcome"]] += 1
            if row["outcome"] == "plan":
                self.planned.add(row["plan_id"])
        self.executed += sum(row["executed"] == "true" for row in self.executor.read_results())

    def _new(self, stream: str) -> Iterator[Published]:
        for entry_id, row in self._pipeline.redis.xrange(stream, min=f"({self._read_to[stream]}"):
            self._read_to[stream] = entry_id
            yield entry_id, row

    def _make(self) -> Published:
        random = self._random
        self._number += 1
        symbol = random.choice(self._symbols).name
        share = random.random()
        if share < 0.02:
            return INTENTS, {"symbol": symbol, "side": random.choice(("UP", "")), "quantity": "much"}
        if share < 0.04:
            return INTENTS, {"symbol": "NOSUCHUSDT", "side": "BUY", "position_usd": str(_ENTRY_USDT)}
        if share < 0.60:
            side = "BUY" if random.random() < 0.7 else "SELL"
            entry = {
                "symbol": symbol, "side": side, "position_usd": str(_ENTRY_USDT),
                "leverage": "1", "kill_score": f"{random.random() / 2:.3f}",
            }  # fmt: skip
            return INTENTS, entry if random.random() < 0.5 else {"payload": json.dumps(entry)}
        if share < 0.74:
            return INTENTS, {"symbol": symbol, "side": "CLOSE"}
        if share < 0.88:
            part = random.choice(("PARTIAL_50", "PARTIAL_75", "FULL_CLOSE"))
            harvest = {"symbol": symbol, "action": part, "reason": "harvest"}
            return HARVESTS, {"payload": json.dumps(harvest)}
        number = self._number
        if random.random() < _AGAIN_SHARE:
            number -= random.randint(1, 100)
        return EXITS, {
            "intent_id": f"exit-{number}", "symbol": symbol, "action": "FULL_CLOSE",
            "qty_fraction": random.choice(("1.0", "0.5", "0.3")), "source": "exit_management_agent",
        }  # fmt: skip

    async def more_is_executed(self, orders: int, within_sec: float) -> None:
        """Wait until so many results more have fills. AssertionError has the reasons of refusals."""
        wanted = self.executed + orders

        async def there() -> bool:
            return self.executed >= wanted

        await until_async(there, f"{orders} more fills; {self.reasons}", within_sec)

    async def reads(self) -> None:
        """Take in what is new in the streams."""
        await self._talk(())

    def without_an_end(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Return the intents without an answer, and the plans that are missing or have no last result."""
        intents = [each for each in self.intents if each not in self.answers]
        results = self.executor.results
        plans = [
            plan_id
            for plan_id in self.planned | self.plans.keys()
            if plan_id not in self.plans or not any(map(is_last, results.get(plan_id, ())))
        ]
        return intents, plans

    def held_amounts(self) -> dict[str, Decimal]:
        """Return the ledger's amount of each symbol."""
        return {
            symbol.name: Decimal(self._pipeline.ledger_amount(symbol.name) or 0) for symbol in self._symbols
        }
