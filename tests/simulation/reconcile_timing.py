"""Invariant (r4): a plain drift above the tolerance is held in time, and for as long as it lasts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import trio

from simulator.history import PositionSide
from tests.simulation.clocks import true_ms
from tests.simulation.memory import holds_lease
from tests.simulation.venue import ZERO
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.reconcile_side import ReconcileSide

LOOK_SEC = 0.5
#: Ways to Redis and back, and two looks.
_SLACK_SEC = 2.5
#: A snapshot is so old at most, where it is believed (ms).
_FRESH_MS = 7_000
_AMOUNTS: dict[PositionSide, bytes] = {"BOTH": b"position_amt", "LONG": b"long_amt", "SHORT": b"short_amt"}
Amounts = dict[PositionSide, Decimal]


class Plain(msgspec.Struct, frozen=True):
    """A drift that is plain to see, while nothing of this changes."""

    exchange: Amounts
    ledger: dict[PositionSide, Decimal | None]
    process: str
    starts: int


class ReconcileTiming:
    """Looks at all symbols twice a second."""

    def __init__(self, side: ReconcileSide) -> None:
        self._side = side
        self._since: dict[str, tuple[Plain, float]] = {}
        #: The latest start of each process in which its engine has begun, once all ledgers are adopted.
        self._begun: dict[str, int] = {}
        self._within_sec = side.number("P34_SETTLE_SEC") + side.number("P34_LOOP_CADENCE_SEC") + _SLACK_SEC

    async def watch(self) -> None:
        """Until cancelled. Raises ViolationError."""
        while True:
            await trio.sleep(LOOK_SEC)
            self._side.holds.look()
            for symbol in self._side.world.scene.symbols:
                self._side.truth.look(symbol)
                self._look(symbol)

    def engine_began(self, process: Process) -> None:
        """Note that the engine of a process begins."""
        self._begun[process.name] = process.starts

    def _look(self, symbol: str) -> None:
        side, now_sec = self._side, trio.current_time()
        plain = self._plain(symbol)
        # In the shadow what it would have repaired goes on.
        repaired = not side.acts and side.look.status(symbol) == "REPAIRED"
        if plain is None or repaired or side.is_disturbed():
            self._since.pop(symbol, None)
            return
        known = self._since.get(symbol)
        if known is None or known[0] != plain:
            self._since[symbol] = plain, now_sec
            return
        if side.is_held(symbol):
            # Where another ends that hold, or its own, the engine has to notice.
            self._since[symbol] = plain, now_sec
            return
        lasts_sec = now_sec - known[1]
        says = f"{symbol} is {plain.exchange}, its ledger {plain.ledger}, and not held for {lasts_sec:.1f} s"
        require(lasts_sec <= self._within_sec, "r4", says)

    def _plain(self, symbol: str) -> Plain | None:
        """Return the symbol's drift, where nothing explains it and the one process can see it."""
        side, world = self._side, self._side.world
        holders = [process for process in world.processes.values() if holds_lease(process)]
        ledger = side.truth.amounts(symbol)
        exchange = {leg: world.venue.amount(symbol, leg) for leg in ledger}
        if len(holders) != 1 or not self._exceeds(exchange, ledger):
            return None
        if self._begun.get(holders[0].name) != holders[0].starts:
            return None
        if self.is_reserved(symbol) or not self._is_shown(symbol, exchange, holders[0]):
            return None
        return Plain(exchange, ledger, holders[0].name, holders[0].starts)

    def _exceeds(self, exchange: Amounts, ledger: dict[PositionSide, Decimal | None]) -> bool:
        return exceeds(exchange, ledger, self._side.decimal("P34_QTY_DRIFT_TOLERANCE_PCT"))

    def is_reserved(self, symbol: str) -> bool:
        """Return whether an open permit may explain a difference of the symbol."""
        stored = self._side.redis.hgetall(self._side.world.keys.open_permits(symbol))
        now_ms = self._side.redis.now_ms()
        permits = [value for name, value in stored.items() if name.startswith(b"p:")]
        return any(int(each.rpartition(b"|")[2]) > now_ms for each in permits)

    def _is_shown(self, symbol: str, exchange: Amounts, holder: Process) -> bool:
        """Return whether Redis has a fresh snapshot of just these amounts."""
        stored = self._side.redis.hgetall(self._side.world.keys.snapshot(symbol))
        if any(Decimal(stored.get(_AMOUNTS[leg], b"NaN").decode()) != each for leg, each in exchange.items()):
            return False
        return true_ms() - (int(stored[b"ts_epoch_ms"]) - holder.clock.offset_ms) <= _FRESH_MS


def exceeds(exchange: Amounts, ledger: dict[PositionSide, Decimal | None], tolerance_pct: Decimal) -> bool:
    """Return whether a leg differs by more than the tolerance, or in its side; False without a ledger."""
    for leg, amount in exchange.items():
        other = ledger[leg]
        if other is None:
            return False
        off = abs(amount - other)
        if off and (amount * other <= ZERO or off * 100 > tolerance_pct * max(abs(amount), abs(other))):
            return True
    return False
