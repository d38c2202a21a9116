"""Invariants (p1) and (p2): what decision intelligence counts, in the moment of its counting and at rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from store.intelligence_records import CountedResult
from tests.simulation.chain_scene import DEFAULTS
from tests.simulation.footprint import Footprint
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
_BASE, COUNTS_GROUP = "quantum:p35", "p35_decision_intel"
_BUCKET = f"{_BASE}:bucket:"
_WINDOWS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
#: Most fields of a kind in a bucket (docs/guarantees.md, P2); each gate may have each reason.
_MOST = {"decision": 26, "reason": 201, "gate": 1_005, "symbol_reason": 2_000}
_LONGEST_REASON, _LONGEST_FIELD = 64, 160
_MOST_TOP = 50
_SLACK_SEC = 10.0
#: Of the rebuilds, which are many, one in so many is looked at as a whole.
_LOOKS_EVERY = 8


class IntelligenceSide:
    """There is one in every world; only where results are counted anything comes of it."""

    def __init__(self, world: World) -> None:
        self.there = world.scene.intelligence
        self.counted_now = self.windows = 0
        self._world = world
        results = world.keys.results
        own = (f"{_BASE}:",)
        self._footprint = Footprint(world.redis, "p1", own=own, groups=((results, COUNTS_GROUP),))
        environment = world.scene.environment
        self._by_symbol = environment.get("P35_SYMBOL_BREAKDOWN", DEFAULTS["P35_SYMBOL_BREAKDOWN"]) == "true"
        self._refresh_sec = float(environment.get("P35_REFRESH_SEC", DEFAULTS["P35_REFRESH_SEC"]))

    @property
    def _counted(self) -> dict[str, str]:
        return self._world.books.kept.chain.counted

    def counted(
        self, writer: str, results: Sequence[CountedResult], effect: Callable[[], list[bool]]
    ) -> list[bool]:
        """Judge a step that counts results."""
        world = self._world
        answer = self._footprint.around(writer, effect)
        pending = world.governing.look.pending(world.keys.results, COUNTS_GROUP)
        minutes: dict[str, None] = {}
        for each, new in zip(results, answer, strict=True):
            entry_id = str(each.entry_id)
            require(entry_id not in pending, "p1", f"{entry_id} is counted, and not acknowledged")
            if new:
                require(entry_id not in self._counted, "p1", f"{writer} counts {entry_id} again")
                self._counted[entry_id] = _minute_of(entry_id)
                self.counted_now += 1
                world.trace.note(f"{writer} counts {entry_id} {each.decision} {each.reason}")
            require(entry_id in self._counted, "p1", f"{entry_id} is acknowledged, and not counted")
            minutes[_minute_of(entry_id)] = None
        totals = Counter(self._counted.values())
        for minute in minutes:
            self._judge_bucket(minute, totals[minute])
        return answer

    def _judge_bucket(self, minute: str, results: int) -> None:
        stored = self._world.redis.hgetall(f"{_BUCKET}{minute}")
        sums, fields = Counter[str](), Counter[str]()
        for name, value in stored.items():
            kind, _, rest = name.decode().partition(":")
            sums[kind] += int(value)
            fields[kind] += 1
            longest = _LONGEST_REASON if kind == "reason" else _LONGEST_FIELD
            require(len(rest) <= longest, "p2", f"{minute} has {name!r}")
        for kind in ("decision", "reason"):
            require(sums[kind] == results, "p1", f"{minute}: {sums[kind]} by {kind}, there are {results}")
        require(sums["gate"] <= results, "p1", f"{minute}: {sums['gate']} were stopped of {results}")
        require(self._by_symbol or not sums["symbol_reason"], "p1", f"{minute} is counted by symbol")
        for kind, count in fields.items():
            require(count <= _MOST.get(kind, 0), "p2", f"{minute} has {count} fields {kind}")

    def windowed(self, writer: str, effect: Callable[[], T]) -> T:
        """Judge a step that rebuilds the windows."""
        self.windows += 1
        looks = self.windows % _LOOKS_EVERY == 0
        answer = self._footprint.around(writer, effect) if looks else effect()
        for window in _WINDOWS:
            top = len(self._world.redis.zrange(f"{_BASE}:reason:top:{window}"))
            require(top <= _MOST_TOP, "p2", f"{window} has {top} reasons")
        return answer

    def all_is_over(self) -> None:
        """Raises ViolationError unless all results are counted, and windows are the sums of their minutes."""
        if not self.there:
            return
        world, key = self._world, self._world.keys.results
        pending = world.governing.look.pending(key, COUNTS_GROUP)
        require(not pending, "p1", f"results that are not counted: {sorted(pending)[:5]}")
        begun = min(self._counted, key=_parts, default=None)
        left = [
            entry_id
            for entry_id, _ in world.redis.xrange(key)
            if begun is not None and _parts(entry_id) > _parts(begun) and entry_id not in self._counted
        ]
        require(not left, "p1", f"results that are not counted: {left[:5]}")
        totals = Counter(self._counted.values())
        now_ms = world.redis.now_ms()
        before_ms = now_ms - round((self._refresh_sec + _SLACK_SEC) * 1000)
        for window, minutes in _WINDOWS.items():
            stored = world.redis.hgetall(f"{_BASE}:decision:counts:{window}")
            shown = sum(map(int, stored.values()))
            right = {_sum(totals, at_ms, minutes) for at_ms in (before_ms, now_ms)}
            require(shown in right, "p1", f"{window} shows {shown} results, there are {sorted(right)}")
        status = world.redis.hgetall(f"{_BASE}:status")
        if self._counted:
            processed = int(status[b"processed_total"])
            require(processed == len(self._counted), "p1", f"{processed} processed of {len(self._counted)}")

    def counts(self) -> dict[str, int]:
        """Return the numbers of events, where there were any."""
        return {"counted": self.counted_now, "windows": self.windows} if self.there else {}


def _sum(totals: Counter[str], now_ms: int, minutes: int) -> int:
    return sum(totals[_minute(now_ms - back * 60_000)] for back in range(minutes))


def _parts(entry_id: str) -> tuple[int, int]:
    at_ms, _, number = entry_id.partition("-")
    return int(at_ms), int(number)


def _minute_of(entry_id: str) -> str:
    return _minute(_parts(entry_id)[0])


def _minute(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%d%H%M")
