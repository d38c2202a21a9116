"""Faults of the reconcile engine's field: what makes ledgers differ, its evidence, its steps, other hands."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from simulator import external_events
from simulator.faults import RestFault
from simulator.history import PositionSide
from tests.simulation.faults import Fault
from tests.simulation.order_faults import OrderFaults
from tests.simulation.venue import ZERO

if TYPE_CHECKING:
    from tests.simulation.world import World

_PLACES = (
    "before change_case", "at change_case", "after change_case", "before repair_ledger", "at repair_ledger",
    "at repair_ledger", "after repair_ledger", "before the history", "before note_agreements",
    "after note_agreements",
)  # fmt: skip
_METHODS = (
    "change_case", "change_case", "repair_ledger", "repair_ledger", "differing_ledgers", "reconcile_views",
    "booked_growth", "note_agreements", "own_holds",
)  # fmt: skip
_LISTS_FAULTS: tuple[RestFault, ...] = ("5xx", "truncated", "not_json", "reset", "-1008", "hang")
_CAUSES: tuple[external_events.Cause, ...] = (
    "trade", "trade", "trade", "stop", "liquidation", "adl", "settlement", "liquidation",
)  # fmt: skip
_SENDERS: tuple[external_events.Sender, ...] = ("web", "ios", "android", "robot")
_MOST_PARTS = 7
#: So long a case is waited for (seconds).
_CASE_SEC = 8.0
_LOOK_SEC = 0.1
_EXAMINED = ("HOLD", "DRIFT", "MANUAL_REQUIRED")
_HOLDERS = ("operator:anna", "svc:risk", "exec:p33-nobody")


class ReconcileFaults:
    """The faults of seeds in which the service's own reconcile engine runs."""

    def __init__(self, world: World, may_crash: Callable[[], bool]) -> None:
        self._world = world
        self._order_faults = OrderFaults(world, may_crash)

    def _symbol(self, fault: Fault) -> str:
        symbols = self._world.scene.symbols
        return symbols[fault.which % len(symbols)]

    # What makes exchange and ledger differ.

    async def do_lost_results(self, fault: Fault) -> None:
        """Delete results before anybody has read them."""
        await self._losing("entry", fault.for_sec)

    async def do_trimmed_results(self, fault: Fault) -> None:
        """Trim the stream of results, those included that nobody has read."""
        await self._losing("stream", fault.for_sec)

    async def _losing(self, how: str, for_sec: float) -> None:
        side = self._world.reconciling
        side.loses = how
        await trio.sleep(for_sec)
        side.loses = ""

    async def do_orphan_orders(self, fault: Fault) -> None:
        """Fill an order of an executor that was killed for good: in many parts, so that pages are full."""
        self._world.reconciling.orphans.fill(self._symbol(fault), parts=1 + int(fault.size * _MOST_PARTS))
        await trio.lowlevel.checkpoint()

    async def do_outside_trade(self, fault: Fault) -> None:
        """Trade as another party: all of a position, a part of it, or an order of another program."""
        self._trade(self._symbol(fault), Random(fault.which))
        await trio.lowlevel.checkpoint()

    async def do_two_causes(self, fault: Fault) -> None:
        """Fill an order of our own that nobody reports, beside a trade of another party."""
        symbol, rng = self._symbol(fault), Random(fault.which)
        self._trade(symbol, rng)
        await trio.sleep(rng.choice((0.0, 0.0, 0.5, 3.0)))
        self._world.reconciling.orphans.fill(symbol, parts=1 + int(fault.size * 3))

    async def do_undone_fill(self, fault: Fault) -> None:
        """Trade back from outside what a ledger lacks, at times an order of ours that nobody reports."""
        side, symbol, rng = self._world.reconciling, self._symbol(fault), Random(fault.which)
        if rng.random() < 0.5:
            side.orphans.fill(symbol, parts=1)
        await trio.sleep(rng.choice((0.0, 0.0, 0.3, 1.5)))
        side.operator.trade_back(symbol)

    def _trade(self, symbol: str, rng: Random) -> None:
        venue = self._world.venue
        leg: PositionSide = rng.choice(venue.legs_of(symbol))
        amount, step = venue.amount(symbol, leg), venue.symbol(symbol).step_size
        cause = rng.choice(_CAUSES)
        if cause == "trade" and (not amount or rng.random() < 0.6):
            along = 1 if leg == "LONG" else -1 if leg == "SHORT" else rng.choice((1, -1))
            delta = step * rng.randint(1, 9) * along
        elif not amount:
            return
        else:
            part = max(step, abs(amount) * rng.randint(1, 9) // 10 // step * step)
            whole = rng.random() < 0.5
            delta = -amount if whole else -part if amount > ZERO else part
        parts = min(rng.choice((1, 1, 2, _MOST_PARTS)), int(abs(delta) / step))
        external_events.move_position(
            venue,
            symbol,
            delta=delta,
            position_side=leg,
            cause=cause,
            sender=rng.choice(_SENDERS),
            parts=parts,
        )
        self._world.trace.note(f"outside {cause} {delta} {symbol} {leg}")

    # Its evidence.

    async def do_failing_history(self, fault: Fault) -> None:
        """Let every request for lists of trades and orders fail for a while."""
        venue = self._world.venue
        venue.lists_fault = _LISTS_FAULTS[fault.which % len(_LISTS_FAULTS)]
        await trio.sleep(fault.for_sec)
        venue.lists_fault = None

    async def do_refused_history(self, fault: Fault) -> None:
        """Answer the next request for lists with 429."""
        venue = self._world.venue
        venue.faults.retry_after_sec = max(1, int(fault.for_sec))
        venue.lists_faults_next.append("429")
        await self._world.without_reads(fault.for_sec)
        venue.lists_faults_next.clear()

    async def do_lagging_history(self, fault: Fault) -> None:
        """Let the lists fall behind by up to 5 s, each fill by another time."""
        faults, usual_ms = self._world.venue.faults, self._world.scene.history_lag_ms
        faults.history_lag_ms = faults.history_lag_jitter_ms = fault.size * 2_500.0
        await trio.sleep(fault.for_sec)
        faults.history_lag_ms, faults.history_lag_jitter_ms = usual_ms, 0.0

    # Other hands.

    async def do_hand_correction(self, fault: Fault) -> None:
        """Let an operator settle a symbol by hand while it is examined."""
        symbol = await self._examined()
        if symbol is not None:
            await trio.sleep(fault.size * 2.0)
            self._world.reconciling.operator.settle(symbol)

    async def _examined(self) -> str | None:
        """Wait for a case; None where there is none in time."""
        look, truth = self._world.reconciling.look, self._world.reconciling.truth
        until_sec = trio.current_time() + _CASE_SEC
        while trio.current_time() < until_sec - 3:
            for symbol in self._world.scene.symbols:
                if look.status(symbol) in _EXAMINED and truth.differs(symbol):
                    return symbol
            await trio.sleep(_LOOK_SEC)
        return None

    async def do_foreign_hold(self, fault: Fault) -> None:
        """Let another hold a symbol: where nobody does, or over the engine's hold."""
        redis, look, symbol = self._world.redis, self._world.reconciling.look, self._symbol(fault)
        found = look.hold(symbol)
        if found is not None and (look.is_foreign(found) or fault.size < 0.5):
            return
        sig = _HOLDERS[fault.which // 8 % len(_HOLDERS)]
        expires = fault.which // 32 % 2 == 0
        for key, text in zip(_hold_keys(symbol), (sig, "played", "1"), strict=True):
            redis.set(key, text, ttl_ms=round(fault.for_sec * 1000) if expires else None)
        self._world.trace.note(f"{sig} holds {symbol}")
        await trio.sleep(fault.for_sec)
        if redis.get(_hold_keys(symbol)[0]) == sig.encode():
            self._delete(symbol)

    async def do_released_hold(self, fault: Fault) -> None:
        """Let an operator release a hold of the engine by force, or delete the hold's own key alone."""
        look = self._world.reconciling.look
        until_sec = trio.current_time() + _CASE_SEC - 1
        while trio.current_time() < until_sec:
            for symbol, hold in look.holds().items():
                if hold is not None and hold.is_ours:
                    if fault.which % 2:
                        self._world.redis.delete(_hold_keys(symbol)[2])
                    else:
                        self._delete(symbol)
                    self._world.trace.note(f"released by force {symbol}")
                    return
            await trio.sleep(_LOOK_SEC)

    def _delete(self, symbol: str) -> None:
        for key in _hold_keys(symbol):
            self._world.redis.delete(key)

    # Its steps.

    async def do_reconcile_point(self, fault: Fault) -> None:
        """Strike the next process that comes to a step of the engine."""
        await self._order_faults.strike_at(_PLACES, fault)

    async def do_reconcile_calls(self, fault: Fault) -> None:
        """Lose requests or answers of the engine's store."""
        processes = list(self._world.processes.values())
        store = processes[fault.which % len(processes)].store
        if store is not None:
            method = _METHODS[fault.which // 2 % len(_METHODS)]
            count = 1 + int(fault.size * 3)
            store.faults.fail_next("before" if fault.which % 2 else "after", method=method, count=count)
        await trio.lowlevel.checkpoint()

    async def do_reconcile_eviction(self, fault: Fault) -> None:
        """Let Redis evict holds or states of the engine."""
        rng = Random(fault.which)
        base = self._world.reconciling.look.keys.base
        prefix = (f"{base}:hold", f"{base}:state:", f"{base}:")[fault.which % 3]
        keys = [key for key in sorted(self._world.redis.keys()) if key.startswith(prefix)]
        self._world.evict([key for key in keys if rng.random() < 0.3 + fault.size])
        await trio.lowlevel.checkpoint()


def _hold_keys(symbol: str) -> tuple[str, str, str]:
    """Return the keys of a hold of anybody: owner, reason, hold."""
    base = "quantum:reconcile"
    return f"{base}:hold_sig:{symbol}", f"{base}:hold_reason:{symbol}", f"{base}:hold:{symbol}"
