"""Everything around the service's own executor: the way of its orders, its judges, its kill points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import trio

from store.execution_records import BeginReply, OrderBegin, OrderProgress, PlanRefusal
from store.keys import ExecutorKeys
from tests.simulation.claims import COMPARED_MS
from tests.simulation.clocks import true_ms
from tests.simulation.dry_run import DryRun
from tests.simulation.execution_rest import ExecutionRest
from tests.simulation.execution_results import ExecutionResults
from tests.simulation.executions import Executions
from tests.simulation.governor import Governor
from tests.simulation.manual_lane import ManualLane
from tests.simulation.network import OrderSide
from tests.simulation.order_way import KillPoints, OrderWay
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World


#: The share of orders that are filled in parts, while there is trade.
_PARTLY_SHARE = 0.35
_OPERATOR_SEC = 10.0
#: The exchange's clock is at rest no further behind what it showed in the round (ms).
_FAR_BACK_MS = 300_000
_TRADED_MS = 400_000
#: An order may be late for a minute.
_CALLED_AFTER_SEC = 70.0


class ExecutorSide:
    """There is one in every world; only where a seed's orders are the executor's anything comes of it."""

    def __init__(self, world: World) -> None:
        seed = world.scene.seed
        self.way = OrderWay(world.venue, Random(f"{seed}:order way"))
        self.points = KillPoints()
        self.judge = Executions(
            world.books, world.venue, world.redis, world.keys, world.settings, world.trace
        )
        self.results = ExecutionResults(world.books, world.redis, world.keys, world.trace)
        self.rest = ExecutionRest(world)
        lane = ManualLane(world, Random(f"{seed}:manual lane"))
        self.manual_lane = lane if world.scene.executor and world.settings.manual_lane else None
        self._world = world
        self.dry_run = DryRun(world)
        if world.scene.executor:
            world.venue.on_order, world.venue.ends_orders = self.judge.taken, True
            world.neighbours.consume = False
        if (world.scene.executor or world.scene.dry_run) and world.scene.governor != "on":
            world.neighbours.governor = Governor(
                world.redis,
                world.keys,
                Random(f"{seed}:governor"),
                world.trace,
                has_third=bool(world.settings.extra_permits),
            )

    def start(self, nursery: trio.Nursery) -> None:
        """Start what goes on by itself."""
        if self._world.scene.executor:
            nursery.start_soon(self.way.run)
            nursery.start_soon(self.rest.watch)
            nursery.start_soon(self._operate)
        if self.manual_lane is not None:
            self._world.neighbours.publisher.on_publish.append(self.manual_lane.beside)
            nursery.start_soon(self.manual_lane.operate)

    def of(self, name: str) -> OrderSide:
        """Return the way of one process's orders."""
        return OrderSide(name, self.way, self.points, self, partial(self._sent, name))

    def begin(self, writer: str, begin: OrderBegin, effect: Callable[[], BeginReply]) -> BeginReply:
        """Judge an order that is begun."""
        self._require_real(writer)
        return self.judge.begin(writer, begin, effect)

    def progress(self, writer: str, progress: OrderProgress, effect: Callable[[], bool]) -> bool:
        """Judge the next version of an order's record."""
        self._require_real(writer)
        return self.results.progress(writer, progress, effect)

    def refuse(self, writer: str, refusal: PlanRefusal, effect: Callable[[], bool]) -> bool:
        """Judge a plan that ends without an order."""
        self._require_real(writer)
        return self.results.refuse(writer, refusal, effect)

    def _require_real(self, writer: str) -> None:
        require(self._world.scene.executor, "e3", f"{writer} runs dry, and writes of an order")

    def _sent(self, name: str, params: Mapping[str, str]) -> None:
        self._world.trace.note(f"{name} sends {params.get('newClientOrderId')}")
        unsure_ms = self._world.processes[name].unsure_ms(true_ms() - COMPARED_MS)
        self.judge.sent(name, params, unsure_ms)

    def set_trading(self, on: bool) -> None:
        """Let the Governor and the market be as they are, or make no trouble."""
        self.way.next.clear()
        self.way.partly_share = _PARTLY_SHARE if on else 0.0
        if self._world.neighbours.governor is not None:
            self._world.neighbours.governor.grants_all = not on
            if not on:
                self._lift_switches()
                self._correct_clock()
                if self.manual_lane is not None:
                    self.manual_lane.open_at_rest()
            for process in self._world.processes.values():
                if process.store is not None and not on:
                    process.store.faults.forget()

    def _correct_clock(self) -> None:
        """Set the exchange's clock forward where it was set far back: requests of before are open so long."""
        venue = self._world.venue
        back_ms = max(venue.clock.offsets_since(true_ms() - _TRADED_MS)) - venue.clock.offset_ms
        if back_ms > _FAR_BACK_MS:
            venue.step_clock(back_ms)

    def _lift_switches(self) -> None:
        """Lift all that stops orders, once more: Redis may have lost that it was lifted."""
        own = ExecutorKeys(self._world.keys)
        for key in (own.trading_state, own.kill, own.global_kill, own.mode, own.lockdown):
            self._world.redis.delete(key)

    async def _operate(self) -> None:
        """Act as the operator who is called for orders without a record, and of unknown outcome."""
        while True:
            await trio.sleep(_OPERATOR_SEC)
            if self._world.scene.reconcile != "on":
                self._settle_orphans()
            self._settle_missing()

    def _settle_orphans(self) -> None:
        """Correct the ledger of an order without a record, and release its hold."""
        redis, keys = self._world.redis, ExecutorKeys(self._world.keys)
        for symbol in self._world.scene.symbols:
            if redis.get(keys.hold_reason(symbol)) == b"orphan_order":
                self._world.neighbours.repairs.correct(symbol)
                for key in (keys.hold_sig(symbol), keys.hold_reason(symbol), self._world.keys.hold(symbol)):
                    redis.delete(key)
                self._world.trace.note(f"released {symbol}")

    def _settle_missing(self) -> None:
        """Correct the ledger of a symbol whose order the exchange does not have: a drift hides that."""
        since_ms = true_ms() - round(_CALLED_AFTER_SEC * 1000)
        missing = [
            each.symbol
            for each in self._world.books.executions.values()
            if each.order is None and each.begun_ms < since_ms and not (each.final or each.lost)
        ]
        missing += self._searched(self._world.venue.exchange_ms() - round(_CALLED_AFTER_SEC * 1000))
        for symbol in dict.fromkeys(missing):
            self._world.neighbours.repairs.correct(symbol)

    def _searched(self, since_ms: int) -> list[str]:
        """Return the symbols of plans that were not begun, and may have been by what Redis has lost.

        `since_ms` is by the exchange's clock, as the records' times are.
        """
        redis, keys = self._world.redis, ExecutorKeys(self._world.keys)
        records = (redis.hgetall(keys.order(plan_id.decode())) for plan_id in redis.zrange(keys.open))
        return [
            record[b"symbol"].decode()
            for record in records
            if record.get(b"state") == b"unknown"
            and int(record[b"timestamp_ms"]) < since_ms
            and not self._world.venue.orders.named(record[b"client_order_id"].decode())
        ]

    def counts(self) -> dict[str, int]:
        """Return the numbers of events, where there were any."""
        if not self._world.scene.executor:
            return {}
        return {
            "begun": self.judge.begun,
            "ordered": self.judge.ordered,
            "unknown": self.results.unknown,
            **{f"result {name}": count for name, count in sorted(self.results.errors.items())},
        }
