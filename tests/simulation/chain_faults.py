"""Faults of bridge, intelligence and universe, brought about."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from tests.simulation.faults import Fault
from tests.simulation.intelligence_side import COUNTS_GROUP
from tests.simulation.order_faults import OrderFaults

if TYPE_CHECKING:
    from tests.simulation.world import World

_BRIDGE_PLACES = ("before answer_intents", "at answer_intents", "at answer_intents", "after answer_intents")
_BRIDGE_METHODS = (
    "answer_intents", "answer_intents", "answer_intents", "bridge_state", "trade_intents.read_new",
    "exit_intents.read_new", "harvest_intents.read_new", "trade_intents.recover", "trade_intents.consumers",
)  # fmt: skip
_COUNT_PLACES = (
    "before count_results", "at count_results", "at count_results", "after count_results",
    "before write_windows", "after write_windows",
)  # fmt: skip
_COUNT_METHODS = (
    "count_results", "count_results", "count_results", "write_windows", "intelligence_buckets",
    "counted_results.read_new", "counted_results.recover",
)  # fmt: skip
_UNIVERSE_PLACES = ("before publish_universe", "at publish_universe", "after publish_universe")
_MODE = "quantum:system:mode"
_FORGOTTEN = 0.5
_LOOK_SEC = 0.05
_STRANGE = (
    "binance error -{} of nothing",
    "permit_denied (P3.3: reason_{})",
    "{}",
    "ошибка {}",
    "x" * 90 + "{}",
)


class ChainFaults:
    """The faults of seeds in which one of these runs."""

    def __init__(self, world: World, may_crash: Callable[[], bool]) -> None:
        self._world = world
        self._order_faults = OrderFaults(world, may_crash)

    # The bridge.

    async def do_bridge_point(self, fault: Fault) -> None:
        """Strike the next process that comes to a step of the bridge."""
        await self._order_faults.strike_at(_BRIDGE_PLACES, fault)

    async def do_bridge_calls(self, fault: Fault) -> None:
        """Lose requests or answers of the bridge's store."""
        await self._lose(_BRIDGE_METHODS, fault)

    async def do_bridge_eviction(self, fault: Fault) -> None:
        """Let Redis evict marks of intents, or times of closes."""
        names, rng = self._world.chain.bridge.names, Random(fault.which)
        prefix = (names.seen(""), names.last_close(""))[fault.which % 2]
        keys = [key for key in sorted(self._world.redis.keys()) if key.startswith(prefix)]
        self._world.evict([key for key in keys if rng.random() < 0.3 + fault.size])
        await trio.lowlevel.checkpoint()

    async def do_lockdown(self, fault: Fault) -> None:
        """Let nothing be opened, or write another mode."""
        text = ("LOCKDOWN", "LOCKDOWN", "NORMAL", "lockdown?")[fault.which % 4]
        self._world.redis.set(_MODE, text)
        self._world.trace.note(f"mode {text}")
        await trio.sleep(fault.for_sec)
        self._world.redis.delete(_MODE)

    async def do_intents_again(self, fault: Fault) -> None:
        """Publish the last intents once more."""
        self._world.chain.bridge.publish_again(1 + fault.which % 6)
        await trio.lowlevel.checkpoint()

    async def do_many_intents(self, fault: Fault) -> None:
        """Publish more intents at once than a batch has."""
        self._world.chain.bridge.publish_many(10 + round(70 * fault.size))
        await trio.lowlevel.checkpoint()

    async def do_lost_intent_group(self, fault: Fault) -> None:
        """Let an operator remove a group of the bridge, at times with what tells where it was."""
        bridge = self._world.chain.bridge
        stream = bridge.stream(bridge.lanes[fault.which % len(bridge.lanes)])
        self._world.redis.xgroup_destroy(stream.key, stream.group)
        self._world.trace.note(f"removed {stream.group}")
        if fault.size < _FORGOTTEN:
            self._world.redis.delete(stream.last_id)
            # Where no process has seen the group, the next one begins where the stream ends.
            while not bridge.has_group(stream):  # noqa: ASYNC110 - Redis has no event
                await trio.sleep(_LOOK_SEC)
            bridge.begun_anew(stream)
        await trio.lowlevel.checkpoint()

    # Counts.

    async def do_intelligence_point(self, fault: Fault) -> None:
        """Strike the next process that comes to a step of the counts."""
        await self._order_faults.strike_at(_COUNT_PLACES, fault)

    async def do_intelligence_calls(self, fault: Fault) -> None:
        """Lose requests or answers of the store of counts."""
        await self._lose(_COUNT_METHODS, fault)

    async def do_lost_count_group(self, fault: Fault) -> None:
        """Let an operator remove the group of the counts.

        Not where ids are ahead of Redis's clock: nothing tells then where it was, and all is counted again.
        """
        world, key = self._world, self._world.keys.results
        if world.governing.look.last_id(key)[0] <= world.redis.now_ms():
            world.redis.xgroup_destroy(key, COUNTS_GROUP)
            world.trace.note(f"removed {COUNTS_GROUP}")
        await trio.lowlevel.checkpoint()

    async def do_strange_results(self, fault: Fault) -> None:
        """Publish results of no plan, each with another reason."""
        world, text = self._world, _STRANGE[fault.which % len(_STRANGE)]
        for number in range(20 + round(fault.size * 280)):
            world.neighbours.consumers.report_refusal("nobody", f"ODD{number}USDT", text.format(number))
        await trio.lowlevel.checkpoint()

    # The universe.

    async def do_universe_point(self, fault: Fault) -> None:
        """Strike the next process that comes to a publication."""
        await self._order_faults.strike_at(_UNIVERSE_PLACES, fault)

    async def do_halted_symbol(self, fault: Fault) -> None:
        """Let the exchange stop the trade of a symbol for a while."""
        world = self._world
        symbol = world.scene.symbols[fault.which % len(world.scene.symbols)]
        world.chain.universe.halted(symbol)
        world.venue.listing.set_status(symbol, "BREAK")
        world.trace.note(f"halted {symbol}")
        try:
            for _ in range(round(fault.for_sec)):
                await trio.sleep(1)
                world.chain.universe.halted(symbol)
        finally:
            world.venue.listing.set_status(symbol, "TRADING")

    async def _lose(self, methods: tuple[str, ...], fault: Fault) -> None:
        processes = list(self._world.processes.values())
        store = processes[fault.which % len(processes)].store
        if store is not None:
            method = methods[fault.which // 2 % len(methods)]
            count = 1 + int(fault.size * 3)
            store.faults.fail_next("before" if fault.which % 2 else "after", method=method, count=count)
        await trio.lowlevel.checkpoint()
