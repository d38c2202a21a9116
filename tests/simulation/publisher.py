"""The publisher of plans with unique ids, of the list of symbols, and of intents."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

import trio

from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.books import Books, Published
from tests.simulation.clocks import true_ms
from tests.simulation.fields import Fields, as_entry, id_ahead
from tests.simulation.trace import Trace
from tests.simulation.venue import Venue

_UNIVERSE_SEC = 60.0
_UNLISTED_SEC = 180.0
#: The universe names it, and the exchange has stopped trading it.
DELISTED = "LUNAUSDT"


class Publisher:
    """The publishing side of one seed's pipeline."""

    def __init__(
        self, books: Books, venue: Venue, redis: MemoryRedis, keys: Keys, rng: Random, trace: Trace
    ) -> None:
        self.listed: list[tuple[int, frozenset[str]]] = []
        self._symbols = frozenset(venue.unannounced) | {DELISTED}
        self._books = books
        self._redis = redis
        self._keys = keys
        self._rng = rng
        self._trace = trace
        self._plans = 0
        #: What is added to a plan's fields, and who learns of its publication.
        self.adorn: Callable[[str, Fields], Fields] = lambda _symbol, fields: fields
        self.on_publish: list[Callable[[Published], None]] = []
        #: Who learns of an intent: its entry and fields.
        self.on_intent: Callable[[str, Fields], None] = lambda _entry_id, _fields: None
        #: Whether the list of symbols is published from here.
        self.played = True

    def new_plan(self, symbol: str, fields: Fields, special: str = "") -> Published:
        """Return a plan with an id of its own."""
        self._plans += 1
        plan = Published(
            f"plan-{self._plans}",
            symbol,
            self.adorn(symbol, fields),
            wants=special != "skip",
            expired=special == "expired",
            unsound=special == "unsound",
            entry_ids=[],
        )
        self._books.published[plan.plan_id] = plan
        return plan

    def publish(self, plan: Published, *, ahead_ms: int = 0) -> str:
        """Put it on the stream; the entry's id. With `ahead_ms`, an id so far ahead of Redis's clock."""
        for learn in self.on_publish:
            learn(plan)
        fields = as_entry({"plan_id": plan.plan_id} | plan.fields)
        entry_id = self._redis.xadd(self._keys.plans, fields, entry_id=id_ahead(self._redis, ahead_ms))
        self._note(plan, entry_id)
        self._trace.note(f"plan {plan.plan_id} {plan.symbol} {plan.fields.get('action')} {entry_id}")
        return entry_id

    def enter(self, plan: Published, entry_id: str) -> None:
        """Take in a plan that another has put on the stream."""
        self._books.published[plan.plan_id] = plan
        for learn in self.on_publish:
            learn(plan)
        self._note(plan, entry_id)

    def _note(self, plan: Published, entry_id: str) -> None:
        plan.entry_ids.append(entry_id)
        self._books.published_ms[entry_id] = self._redis.now_ms()
        self._books.truly_published_ms[entry_id] = true_ms()
        self._books.plan_of_entry[entry_id] = plan.plan_id
        for learn in self.on_publish:
            learn(plan)

    def intend(self, symbol: str) -> None:
        """Publish an intent in one of the dialects, now and then an unreadable one."""
        inside = json.dumps({"symbol": symbol, "side": "BUY"})
        fields = self._rng.choice(({"symbol": symbol}, {"payload": inside}, {"data": inside}, {"data": "{"}))
        self.publish_intent(fields)

    def publish_intent(self, fields: Fields, *, ahead_ms: int = 0) -> None:
        """Put it on the stream. With `ahead_ms`, under an id so far ahead of Redis's clock."""
        entry_id = id_ahead(self._redis, ahead_ms)
        self.on_intent(self._redis.xadd(self._keys.intents, as_entry(fields), entry_id=entry_id), fields)

    # The list of symbols that may be opened.

    def publish_universe(self, *, without: str | None = None) -> None:
        """Publish the universe service's list: every symbol, or all but one. Its host agrees with Redis."""
        if not self.played:
            return
        symbols = self._symbols - {without}
        asof = self._redis.now_ms() // 1000
        text = json.dumps({"asof_epoch": asof, "symbols": sorted(symbols)})
        self._redis.set(self._keys.universe_active, text)
        self._redis.set(self._keys.universe_last_ok, text)
        meta = {"stale": "0", "count": str(len(symbols)), "asof_epoch": str(asof), "error": ""}
        self._redis.hset(self._keys.universe_meta, as_entry(meta))
        self.listed.append((true_ms(), symbols))

    def unlist_one(self) -> None:
        """Leave one symbol out: the same one for a while, longer than between two readings of the list."""
        symbols = sorted(self._symbols - {DELISTED})
        self.publish_universe(without=symbols[int(trio.current_time() // _UNLISTED_SEC) % len(symbols)])

    async def keep_universe(self) -> None:
        """Publish it again and again; whole, every few minutes. Until cancelled."""
        while True:
            for _ in range(round(_UNLISTED_SEC / _UNIVERSE_SEC) - 1):
                await trio.sleep(_UNIVERSE_SEC)
                missing = sorted(self._symbols - self.listed[-1][1]) if self.played else []
                self.publish_universe(without=missing[0] if missing else None)
            await trio.sleep(_UNIVERSE_SEC)
            self.publish_universe()

    def may_open(self, symbol: str) -> bool:
        """Return whether the symbol was in the universe at some moment of its last three readings."""
        return any(symbol in symbols for symbols in self._recent_universes())

    def is_listed(self, symbol: str) -> bool:
        """Return whether it was in the universe all that time."""
        return bool(self.listed) and all(symbol in symbols for symbols in self._recent_universes())

    def _recent_universes(self) -> list[frozenset[str]]:
        since_ms = true_ms() - 45_000
        first = max((i for i, (at_ms, _) in enumerate(self.listed) if at_ms <= since_ms), default=0)
        return [symbols for _, symbols in self.listed[first:]]
