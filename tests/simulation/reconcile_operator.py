"""Operators beside the service's own reconcile engine: they settle what it leaves to a person."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import trio

from simulator import external_events
from tests.simulation.clocks import true_ms

if TYPE_CHECKING:
    from tests.simulation.reconcile_side import ReconcileSide

_LOOK_SEC = 3.0
_ACTS = 0.35
#: The same where closes are proposed, and at times left to be executed.
_ACTS_BESIDE_CLOSES = 0.04
#: The share of what is set right at the exchange, and not in the ledger.
_TRADES_BACK = 0.4


class ReconcileOperator:
    """Looks at the cases that require a person, now and then."""

    def __init__(self, side: ReconcileSide, rng: Random) -> None:
        self.corrected = 0
        self.trading = True
        #: Symbols whose hold may have lost its owner: only a person can say that it is over.
        self.ownerless: set[str] = set()
        self._side = side
        self._rng = rng

    async def operate(self) -> None:
        """Act while there is trade, until cancelled."""
        while True:
            await trio.sleep(_LOOK_SEC)
            self._release_ownerless()
            for symbol in self._side.world.scene.symbols:
                acts = _ACTS_BESIDE_CLOSES if self._side.closes.are_on else _ACTS
                if self.trading and self._is_called(symbol) and self._rng.random() < acts:
                    self.settle(symbol)

    def _release_ownerless(self) -> None:
        """Release holds whose owner Redis has evicted, one that no service can know for its own."""
        side = self._side
        for symbol in sorted(self.ownerless):
            hold = side.look.hold(symbol)
            if hold is not None and hold.sig is None:
                for key in side.look.keys.all_of_hold(symbol):
                    side.redis.delete(key)
                side.world.books.unheld_ms[symbol] = true_ms()
                side.trace.note(f"released {symbol}, whose hold had no owner")
        self.ownerless.clear()

    def _is_called(self, symbol: str) -> bool:
        """Return whether a drift is a person's; in the shadow, whether there is one."""
        side = self._side
        return side.truth.differs(symbol) and side.look.status(symbol) == "MANUAL_REQUIRED"

    def settle(self, symbol: str) -> None:
        """Set a symbol right: in the ledger, or by a trade at the exchange."""
        self.corrected += 1
        if self._rng.random() >= _TRADES_BACK or not self.trade_back(symbol):
            self._side.world.neighbours.repairs.correct(symbol)
        self._side.truth.look(symbol)

    def trade_back(self, symbol: str) -> bool:
        """Trade the position back to the ledger; False where an amount is none that the exchange can have."""
        venue = self._side.venue
        step = venue.symbol(symbol).step_size
        for leg, amount in self._side.truth.amounts(symbol).items():
            sign = {"LONG": 1, "SHORT": -1}.get(leg, 0)
            if amount is None or amount % step or amount * sign < 0:
                return False
        for leg, amount in self._side.truth.amounts(symbol).items():
            external_events.move_position(venue, symbol, target=amount, position_side=leg)
        self._side.trace.note(f"traded back {symbol}")
        return True
