"""Invariant (r5): at rest every drift is mended or a person's, and no hold of the engine is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.simulation.memory import holds_lease
from tests.simulation.reconcile_timing import exceeds
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.reconcile_side import ReconcileSide

_MANUAL, _DRIFT = "MANUAL_REQUIRED", "DRIFT"
_SETTLED = ("", "OK", "REPAIRED")
_SLACK_SEC = 4.0
_MINUTE_SEC = 62.0
_SMALL_PAGE = 3
#: A look from an agreement an hour ago takes so many minutes' weight at most.
_LONGEST_LOOK_SEC = 600.0


class ReconcileRest:
    """Asked after a long quiet."""

    def __init__(self, side: ReconcileSide) -> None:
        self.manual = 0
        self._side = side

    async def all_is_settled(self) -> None:
        """Raises ViolationError unless each symbol is as it must be; then a person sets the rest right.

        Then an order of ours without a record is filled, and must be booked.
        """
        side, world = self._side, self._side.world
        symbols = [symbol for symbol in world.scene.symbols if side.is_kept_fresh(symbol)]
        for symbol in symbols:
            if side.truth.differs(symbol):
                self._judge(symbol)
            else:
                await self._is_released(symbol)
        if not side.acts:
            return
        for symbol in symbols:
            if side.truth.differs(symbol):
                world.neighbours.repairs.correct(symbol)
        await trio.sleep(2 * side.number("P34_LOOP_CADENCE_SEC"))
        for symbol in symbols:
            await self._is_released(symbol)
        # What the last looks weighed is no part of this minute any more.
        await trio.sleep(_MINUTE_SEC)
        await self._orphan_is_booked(symbols[0])

    def _judge(self, symbol: str) -> None:
        side, status, hold = self._side, self._side.look.status(symbol), self._side.look.hold(symbol)
        ledger = side.truth.amounts(symbol)
        exchange = {leg: side.venue.amount(symbol, leg) for leg in ledger}
        says = f"{symbol} is {exchange}, its ledger {ledger}, {status or 'no case'}, held by {hold}"
        if side.look.is_foreign(hold) or not side.acts:
            return
        provable = side.truth.is_provable(symbol) and not side.is_misdated(symbol)
        require(not provable, "r5", f"{says}: fills of its own are missing: {side.truth.says(symbol)}")
        self.manual += status == _MANUAL
        if exceeds(exchange, ledger, side.decimal("P34_QTY_DRIFT_TOLERANCE_PCT")):
            held = hold is not None and hold.is_ours
            if held and status != _MANUAL and side.weight.used_up:
                # It waits for a look at another symbol, which is longer than its weight of these minutes.
                return
            require(status == _MANUAL and held, "r5", f"{says}: neither mended nor a person's")
            if symbol not in side.truth.forgotten and not side.is_misdated(symbol):
                found, others = side.look.state(symbol).get("evidence", ""), side.truth.foreign(symbol)
                unnamed = [each for each in others if f'"{each}"' not in found]
                require(not unnamed, "r5", f"{says}: {unnamed} are not named in {found}")
        else:
            require(status in (_MANUAL, _DRIFT), "r5", f"{says}: a small drift that no state shows")

    async def _is_released(self, symbol: str) -> None:
        """Wait for the end of a hold that was set, or taken over from the executor, a moment ago."""
        side = self._side
        within_sec = side.number("P34_CLEAR_AFTER_SEC") + 2 * side.number("P34_LOOP_CADENCE_SEC")
        until_sec = trio.current_time() + within_sec + _SLACK_SEC
        while self._is_open(symbol) and trio.current_time() < until_sec:  # noqa: ASYNC110 - no event
            await trio.sleep(0.2)
        self._judge_released(symbol)

    def _is_open(self, symbol: str) -> bool:
        hold = self._side.look.hold(symbol)
        ours = hold is not None and hold.is_ours
        return ours or self._side.look.status(symbol) not in _SETTLED

    def _judge_released(self, symbol: str) -> None:
        side, hold, status = self._side, self._side.look.hold(symbol), self._side.look.status(symbol)
        ours = hold is not None and hold.is_ours
        require(not ours, "r5", f"{symbol} agrees, and is held: {hold} {side.look.state(symbol)}")
        require(status in _SETTLED, "r5", f"{symbol} agrees, and its case is {side.look.state(symbol)}")

    async def _orphan_is_booked(self, symbol: str) -> None:
        """Raises ViolationError unless an order of ours that no result reports is booked in one look."""
        side, scene = self._side, self._side.world.scene
        if not any(holds_lease(process) for process in side.world.processes.values()):
            return
        side.orphans.fill(symbol, parts=2)
        within_sec = side.number("P34_SETTLE_SEC") + side.number("P34_LOOP_CADENCE_SEC") + _SLACK_SEC
        if scene.history_lag_ms or scene.history_page <= _SMALL_PAGE:
            # More looks, or more pages, than a minute's weight allows for at once.
            within_sec += 3 * scene.history_lag_ms / 1000 + _MINUTE_SEC
        until_sec = trio.current_time() + within_sec
        longest_sec = until_sec + _LONGEST_LOOK_SEC
        while side.truth.is_provable(symbol) and trio.current_time() < until_sec:
            if side.weight.used_up:
                # A look that is longer than its minutes' weight goes on as soon as it may, and ends then.
                until_sec = min(max(until_sec, trio.current_time() + _SLACK_SEC), longest_sec)
            await trio.sleep(0.2)
        amounts, state = side.truth.amounts(symbol), side.look.state(symbol)
        says = f"{symbol}: an order of ours is not booked within {within_sec:.1f} s: {amounts}, {state}"
        require(not side.truth.is_provable(symbol) or side.is_misdated(symbol), "r5", says)
        if side.truth.differs(symbol):
            # Others' trades that made nothing together with fills of ours, which are booked now, or misdated.
            side.world.neighbours.repairs.correct(symbol)
            await trio.sleep(2 * side.number("P34_LOOP_CADENCE_SEC"))
        await self._is_released(symbol)
