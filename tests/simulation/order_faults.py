"""Faults of orders, brought about: on their way, at the exchange, and of those on whom they depend."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from store.keys import ExecutorKeys
from tests.simulation.faults import Fault
from tests.simulation.order_way import OrderFate
from tests.simulation.process import Process
from tests.simulation.tripwire import SabotageError

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Where a process may be struck: around each script, at its effect, and on the way to the exchange and back.
PLACES = (
    "before begin_order", "at begin_order", "at begin_order", "after begin_order", "before the socket",
    "at the exchange", "after the answer", "before record_progress", "at record_progress",
    "after record_progress", "before hold_symbol", "after hold_symbol", "at refuse_plan", "after refuse_plan",
    "after release_hold", "after record_orphan",
)  # fmt: skip
#: Where Redis may lose the record of an order, and how long its process may be away then (seconds).
_LOST_AT = (
    "at the exchange",
    "before the socket",
    "after begin_order",
    "after the answer",
    "at the exchange",
)
_DOWN_SEC = 4.0
_WAYS = ("crash", "kill", "cut", "kill", "crash", "terminate", "cut")
_SOON_SEC = 8.0
#: From this size on, a refusal of too many orders is a ban.
_BANNED = 0.7
#: No order is hidden for longer than the settling time allows for (ms).
_HIDDEN_MS = 9_500.0
_SWITCHES = ("kill", "global_kill", "mode", "lockdown")
_SWITCHED_ON = {"kill": "1", "global_kill": "true", "mode": "LOCKDOWN", "lockdown": "x"}
_STATES = ("HALTED", "REDUCING", "HALTED", "nonsense")


class OrderFaults:
    """The faults of orders; `may_crash` answers whether an actor may be made to fail now."""

    def __init__(self, world: World, may_crash: Callable[[], bool]) -> None:
        self._world = world
        self._may_crash = may_crash
        self._own = ExecutorKeys(world.keys)

    # The way there and back.

    async def do_lost_orders(self, fault: Fault) -> None:
        """Lose requests and answers, or bring requests late."""
        way = self._world.orders.way
        way.lost_share = 0.2 + 0.4 * fault.size
        await trio.sleep(fault.for_sec)
        way.lost_share = 0.0

    async def do_wrong_answers(self, fault: Fault) -> None:
        """Answer orders with each wording of a failure, whether or not they were taken."""
        way = self._world.orders.way
        way.wrong_share = 0.2 + 0.4 * fault.size
        await trio.sleep(fault.for_sec)
        way.wrong_share = 0.0

    async def do_too_many_orders(self, fault: Fault) -> None:
        """Refuse an order with 429 or 418, which is a ban."""
        world = self._world
        world.venue.faults.retry_after_sec = max(1, int(fault.for_sec))
        world.venue.faults.ban_sec = 5
        banned = fault.size >= _BANNED
        world.orders.way.next.append(OrderFate("418" if banned else "429", before=True))
        await world.without_reads(fault.for_sec, banned=banned)
        world.orders.way.next.clear()

    async def do_used_order_limit(self, fault: Fault) -> None:
        """Let another process of the account have used up the limit on orders: -1015."""
        venue = self._world.venue
        venue.order_counts.set_used(venue.host_ms(), in_10_sec=venue.order_counts.per_10_sec)
        await trio.sleep(fault.for_sec)

    # At the exchange.

    async def do_hidden_orders(self, fault: Fault) -> None:
        """Show orders to queries only a while after they were taken."""
        faults = self._world.venue.faults
        faults.order_visible_after_ms = fault.size * _HIDDEN_MS
        await trio.sleep(fault.for_sec)
        faults.order_visible_after_ms = 0.0

    async def do_slow_fills(self, fault: Fault) -> None:
        """Fill orders in many parts, over a minute at most."""
        self._world.orders.way.fills_slowly = True
        await trio.sleep(fault.for_sec)
        self._world.orders.way.fills_slowly = False

    # Operators.

    async def do_trading_state(self, fault: Fault) -> None:
        """Halt trading, let it only reduce, or write what cannot be read."""
        await self._switched(self._own.trading_state, _STATES[fault.which % len(_STATES)], fault.for_sec)

    async def do_kill_switch(self, fault: Fault) -> None:
        """Turn one of the four kill switches on."""
        name = _SWITCHES[fault.which % len(_SWITCHES)]
        await self._switched(str(getattr(self._own, name)), _SWITCHED_ON[name], fault.for_sec)

    async def _switched(self, key: str, value: str, for_sec: float) -> None:
        self._world.redis.set(key, value)
        self._world.trace.note(f"{key} {value}")
        await trio.sleep(for_sec)
        self._world.redis.delete(key)

    # Processes, in the middle of an order.

    async def do_kill_point(self, fault: Fault) -> None:
        """Strike the next process that comes to a place on the way of an order."""
        await self.strike_at(PLACES, fault)

    async def strike_at(self, places: tuple[str, ...], fault: Fault) -> None:
        """Strike the next process that comes to one of these places."""
        if not self._may_crash():
            return
        world = self._world
        place, way = places[fault.which % len(places)], _WAYS[fault.which // len(places) % len(_WAYS)]
        struck: list[Process] = []
        passed = trio.Event()

        def strike(name: str) -> None:
            passed.set()
            world.trace.note(f"{name} is struck {place}: {way}")
            struck.append(world.processes[name])
            self._strike(world.processes[name], way, fault.for_sec)

        world.orders.points.arm(place, strike)
        with trio.move_on_after(_SOON_SEC):
            await passed.wait()
        world.orders.points.disarm()
        if struck and way == "cut":
            await trio.sleep(fault.for_sec)
            world.streams.came_at_once()
            struck[0].reach.restore()

    async def do_lost_begin(self, fault: Fault) -> None:
        """Let Redis lose its last second while an order is under way, with the order's record.

        Half of the times the order's process is killed in the same moment.
        """
        world = self._world
        place, kills = _LOST_AT[fault.which % len(_LOST_AT)], fault.which // len(_LOST_AT) % 2
        before, kept = world.redis.copy(), world.books.copy_kept()
        passed = trio.Event()

        def lose(name: str) -> None:
            passed.set()
            world.trace.note(f"{place}: a second is lost")
            world.restart_redis(kept, before)
            if kills:
                world.processes[name].kill(fault.size * _DOWN_SEC)

        with trio.move_on_after(fault.for_sec):
            while not passed.is_set():
                world.orders.points.arm(place, lose)
                with trio.move_on_after(1.0):
                    await passed.wait()
                if not passed.is_set():
                    before, kept = world.redis.copy(), world.books.copy_kept()
        world.orders.points.disarm()

    def _strike(self, process: Process, way: str, for_sec: float) -> None:
        match way:
            case "crash":
                raise SabotageError("on the way of an order")
            case "kill":
                process.kill(for_sec)
            case "terminate":
                process.terminate(for_sec)
            case _:
                process.reach.cut()
