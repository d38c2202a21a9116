"""Repairs of a lasting drift by P3.4 and operators: a guarded close, or a correction by hand."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random

import trio

from simulator.history import PositionSide
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.books import Books
from tests.simulation.fields import Fields, as_entry
from tests.simulation.plans import PlanMaker
from tests.simulation.trace import Trace
from tests.simulation.venue import ZERO, Leg, Venue

_REPAIR_SEC = 10.0


class Repairs:
    """Those who keep ledgers and exchange in agreement."""

    def __init__(
        self,
        books: Books,
        venue: Venue,
        redis: MemoryRedis,
        keys: Keys,
        rng: Random,
        trace: Trace,
        plans: PlanMaker,
        propose: Callable[[str, Fields, str], None],
    ) -> None:
        """`propose` publishes a plan of a symbol (with its special fields), for a consumer to execute."""
        self._books = books
        self._venue = venue
        self._redis = redis
        self._keys = keys
        self._rng = rng
        self._trace = trace
        self._plans = plans
        self._propose = propose
        self._drift: dict[Leg, Decimal] = {}

    async def repair(self, trading: Callable[[], bool]) -> None:
        """Look around every few seconds while there is trading, until cancelled."""
        while True:
            await trio.sleep(_REPAIR_SEC)
            if not trading():
                continue
            for symbol in self._venue.unannounced:
                for leg in self._venue.legs_of(symbol):
                    # One hand at a time: a correction sets all legs, and a close under way would be in it.
                    if self._repair_leg(symbol, leg):
                        break

    def _repair_leg(self, symbol: str, leg: PositionSide) -> bool:
        ledger = self._books.kept.ledger.get((symbol, leg))
        if ledger is None:
            return False
        amount = self._venue.amount(symbol, leg)
        drift = amount - ledger
        seen = self._drift.get((symbol, leg))
        self._drift[symbol, leg] = drift
        if not drift or seen != drift or self._in_hand(symbol):
            return False
        if abs(amount) > abs(ledger) and amount * ledger >= 0 and self._rng.random() < 0.6:
            self._redis.set(self._keys.hold(symbol), "1", ttl_ms=4000)
            if self._rng.random() < 0.2:
                self._propose(symbol, self._plans.broken_reconcile_close(symbol, leg, drift), "unsound")
            self._propose(symbol, self._plans.reconcile_close(symbol, leg, drift), "")
        else:
            self.correct(symbol)
        return True

    def _in_hand(self, symbol: str) -> bool:
        return any(
            grant.taken and not grant.over and grant.symbol == symbol for grant in self._books.grants.values()
        )

    def correct(self, symbol: str) -> None:
        """Set the ledger to the exchange's position, as an operator does."""
        legs = self._venue.legs_of(symbol)
        amounts = {leg: self._venue.amount(symbol, leg) for leg in legs}
        fields = {"last_known_amt": f"{sum(amounts.values(), ZERO):f}"}
        if legs != ["BOTH"]:
            fields |= {"long_amt": f"{amounts['LONG']:f}", "short_amt": f"{amounts['SHORT']:f}"}
        stored = self._redis.hgetall(self._keys.ledger(symbol))
        as_it_is = {name: Decimal(stored.get(name.encode(), b"NaN").decode()) for name in fields}
        # What is written as it stands says nothing: the ledger contains no more than before.
        if not stored or as_it_is == {name: Decimal(text) for name, text in fields.items()}:
            return
        self._redis.hset(self._keys.ledger(symbol), as_entry(fields))
        for leg, amount in amounts.items():
            self._books.kept.ledger[symbol, leg] = amount
            self._books.kept.corrected[symbol, leg] = len(self._venue.changes[symbol, leg])
        self._trace.note(f"corrected {symbol} {fields}")
