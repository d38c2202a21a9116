"""Invariants (u1) and (u2): what the service's own universe publishes, and symbols that are halted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import trio

from tests.simulation.clocks import true_ms
from tests.simulation.footprint import Footprint
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
#: From the end of a halt until the next read of all symbols, at most.
_KNOWN_AGAIN_SEC = 130.0
_FRESH_MS = 60_000


class UniverseSide:
    """There is one in every world; only where the service publishes its universe anything comes of it."""

    def __init__(self, world: World) -> None:
        mode = world.scene.universe
        self.there = mode != "off"
        #: Whether it acts; otherwise it is in the shadow.
        self.acts = mode == "on"
        self.published = 0
        self._world = world
        self._base = "quantum:cfg:universe" if self.acts else "quantum:universe:shadow"
        events, audit = "quantum:stream:universe.events", "quantum:stream:universe.audit"
        own = (f"{self._base}:", events, audit) if self.acts else (f"{self._base}:",)
        self._footprint = Footprint(world.redis, "u1", own=own)
        self._odd_until_sec: dict[str, float] = {}
        if self.acts:
            world.neighbours.publisher.played = False

    def halted(self, symbol: str) -> None:
        """Note that a symbol does not trade, or just did not."""
        self._odd_until_sec[symbol] = trio.current_time() + _KNOWN_AGAIN_SEC

    def is_odd(self, symbol: str) -> bool:
        """Return whether a symbol may be taken for one that does not trade."""
        return self._odd_until_sec.get(symbol, 0.0) > trio.current_time()

    def listed(self, writer: str, effect: Callable[[], T]) -> T:
        """Judge a publication."""
        before = self._symbols("last_ok")
        answer = self._footprint.around(writer, effect)
        redis, after = self._world.redis, self._symbols("last_ok")
        meta = {name.decode(): text.decode() for name, text in redis.hgetall(f"{self._base}:meta").items()}
        active = self._symbols("active")
        fresh = meta.get("stale") == "0"
        if fresh:
            require(active == after, "u1", f"{writer}: active {active}, last_ok {after}")
            require(int(meta["count"]) == len(active), "u1", f"{writer}: {meta} of {active}")
        else:
            require(after == before, "u2", f"{writer}: replaced by {after} as stale")
        require(set(active) <= set(self._world.scene.symbols), "u2", f"{writer}: listed {active}")
        self.published += 1
        self._world.trace.note(f"{writer} lists {active} stale={meta.get('stale')}")
        if self.acts:
            self._world.neighbours.publisher.listed.append((true_ms(), frozenset(active)))
        return answer

    def _symbols(self, name: str) -> list[str]:
        text = self._world.redis.get(f"{self._base}:{name}")
        return [] if text is None else list(json.loads(text)["symbols"])

    def all_is_over(self) -> None:
        """Raises ViolationError unless all symbols that trade are listed. After a long quiet."""
        if not self.there:
            return
        active = self._symbols("active")
        require(active == sorted(self._world.scene.symbols), "u2", f"at rest {active} are listed")
        meta = self._world.redis.hgetall(f"{self._base}:meta")
        age_ms = self._world.redis.now_ms() - 1000 * int(meta[b"asof_epoch"])
        require(age_ms <= _FRESH_MS, "u2", f"at rest the list is {age_ms} ms old: {meta}")

    def counts(self) -> dict[str, int]:
        """Return the numbers of events, where there were any."""
        return {"universes": self.published} if self.there else {}
