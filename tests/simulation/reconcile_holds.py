"""Invariants (r1) and (r3): a hold of the engine before its first look, and nothing of another's touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from tests.simulation.clocks import true_ms
from tests.simulation.reconcile_look import HoldSeen, ReconcileLook
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.reconcile_side import ReconcileSide

T = TypeVar("T")
#: A hold that another has ended is missed within this (ms).
_MISSED_WITHIN_MS = 5_000
#: While a `RECONCILE_CLOSE` is out, a hold lives so long (ms).
_LONGEST_MS = 900_000


class Ended(msgspec.Struct, frozen=True):
    """The moment until which a hold of the engine was seen (true ms); `by`: the process that ended it."""

    at_ms: int
    by: str = ""


class ReconcileHolds:
    """Looks at all holds around every step of the engine, and at every request."""

    def __init__(self, side: ReconcileSide, look: ReconcileLook) -> None:
        self.set = self.released = self.taken_over = self.foreign = 0
        self._side = side
        self._look = look
        self._seen: dict[str, Ended] = {}

    def look(self) -> None:
        """Note which holds of the engine stand."""
        for symbol, hold in self._look.holds().items():
            if hold is not None and hold.is_ours:
                self._seen[symbol] = Ended(true_ms())

    def around(self, writer: str, effect: Callable[[], T]) -> T:
        """Judge a step that may change holds."""
        self.look()
        before = self._look.holds()
        foreign = {symbol for symbol, hold in before.items() if self._look.is_foreign(hold)}
        answer = effect()
        for symbol, hold in self._look.holds().items():
            was = before[symbol]
            if symbol in foreign:
                self.foreign += 1
                require(hold == was, "r3", f"{writer} makes {hold} of {symbol}'s {was}, which is another's")
                continue
            self._judge_change(writer, symbol, was, hold)
        return answer

    def _judge_change(self, writer: str, symbol: str, was: HoldSeen | None, hold: HoldSeen | None) -> None:
        if hold is None:
            if was is not None:
                self.released += 1
                self._side.trace.note(f"{writer} releases {symbol}")
                self._seen[symbol] = Ended(true_ms(), writer)
            return
        if hold == was:
            return
        require(hold.is_ours, "r3", f"{writer} leaves {hold} on {symbol}, where {was} was")
        require(hold.value == b"1", "r1", f"{symbol}: the hold's value is {hold.value!r}")
        require(hold.reason, "r1", f"{symbol}: the hold has no reason: {hold}")
        left_ms = None if hold.ends_ms is None else hold.ends_ms - self._side.redis.now_ms()
        lives = left_ms is not None and 0 < left_ms <= _LONGEST_MS
        require(lives, "r1", f"{symbol}: the hold lives for {left_ms} ms")
        if was is None or not was.is_ours:
            self.set += 1
            self.taken_over += was is not None
            self._side.trace.note(f"{writer} holds {symbol} {hold.reason!r} {hold.sig!r}")
        self._seen[symbol] = Ended(true_ms())

    def asked(self, writer: str, symbol: str) -> None:
        """Judge a request for evidence: a hold of the engine stands, or has just been ended by another."""
        hold = self._look.hold(symbol)
        if hold is not None and hold.is_ours:
            return
        ended = self._seen.get(symbol)
        excused = ended is not None and ended.by != writer and true_ms() - ended.at_ms <= _MISSED_WITHIN_MS
        require(excused, "r1", f"{writer} asks for evidence of {symbol}, and its hold is {hold}: {ended}")
