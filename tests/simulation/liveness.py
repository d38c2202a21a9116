"""Invariants (f) and (g): once nothing is broken all is fresh, ready and deciding; and nothing has leaked."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import trio

from actors.governor.live_entries import LiveEntries
from actors.governor.settler import EarlyResults
from actors.governor.state import GovernedState
from actors.intent_bridge.reports import BridgeReports
from actors.permit_evaluator.deciding import PlanDecider
from brain.ledger.fill_memory import FillMemory
from brain.plans.shared_plans import SharedPlans
from channels import BridgeNow, ResultBook
from monitoring.recent_decisions import RecentDecisions
from monitoring.recent_judgements import RecentJudgements
from simulator.history import PositionSide
from store.entry_times import EntryTimes
from tests.simulation.books import Published
from tests.simulation.clocks import true_ms
from tests.simulation.fields import Fields
from tests.simulation.memory import holds_lease, left_in_hand, remembered
from tests.simulation.order_way import OrderFate
from tests.simulation.venue import ZERO
from tests.simulation.verdicts import ViolationError, require

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

_DECIDED_WITHIN_SEC = 1.2
_BOOKED_WITHIN_SEC = 1.0
_EVIDENCE_WITHIN_SEC = _EXECUTED_WITHIN_SEC = 3.0
#: A proof comes within this, and is written within that.
_PROVEN_WITHIN_SEC = 10.0
_WRITTEN_WITHIN_SEC = 0.4
_FEWEST_TASKS_SPARE = 40
_MOST_PLANS = 64
_MOST_ORDERS = 200
_EXPIRING = "quantum:p33:"
_LASTING = (
    "quantum:p33:fence",
    "quantum:p33:redis_run",
    "quantum:p33:evictions",
    "quantum:p33:last_result_id",
    "quantum:p33:players",
)


class Liveness:
    """Asked at moments when everything has had its time to come right."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._most_tasks = 0
        self._cooled: set[str] = set()  # symbols: one leg's fill began the cooldown of the other's close

    async def all_is_well(self, but: Collection[str] = ()) -> None:
        """Raises ViolationError unless one process is ready, every snapshot fresh, and plans are decided.

        Snapshots of the symbols in `but` may be as they are.
        """
        world = self._world
        readiness = {name: await process.readiness() for name, process in world.processes.items()}
        holders = [name for name, why_not in readiness.items() if not why_not]
        require(len(holders) == 1, "f", f"ready: {holders}; {readiness}")
        holder = world.processes[holders[0]]
        for symbol in world.scene.symbols:
            if self._is_kept_fresh(symbol) and symbol not in but:
                self._judge_snapshot(symbol, holder)
        await self._judge_deciding()

    async def flat_rows_change_nothing(self) -> None:
        """Raises ViolationError if a snapshot stops being proven by an update that holds only the flat BOTH.

        In hedge mode, where all symbols are read at once: what proves the others proves these.
        """
        world = self._world
        venue, symbols = world.venue, world.scene.symbols
        if not venue.hedge_mode or world.settings.fetch_mode == "per_symbol":
            return
        holder = next((each for each in world.processes.values() if holds_lease(each)), None)
        if holder is None:
            return
        for symbol in symbols[1:]:
            venue.announce_flat_both(symbol)
        event_ms = true_ms()
        with trio.move_on_after(_PROVEN_WITHIN_SEC):
            while self._shown_ms(symbols[0], holder) <= event_ms:  # noqa: ASYNC110 - Redis has no event
                await trio.sleep(0.2)
            await trio.sleep(_WRITTEN_WITHIN_SEC)
            late = [symbol for symbol in symbols[1:] if self._shown_ms(symbol, holder) <= event_ms]
            require(not late, "h", f"not proven after an update with the flat BOTH row alone: {late}")

    def _shown_ms(self, symbol: str, holder: Process) -> int:
        """Return the moment as of which the symbol's snapshot is, true ms."""
        stored = self._world.redis.hgetall(self._world.keys.snapshot(symbol))
        return int(stored.get(b"ts_epoch_ms", b"0")) - holder.clock.offset_ms

    async def plans_are_allowed(self) -> None:
        """Raises ViolationError unless opens or adds, and then closes, are allowed in a quiet moment.

        An operator brings the ledgers into line before; the consumers of the permits give them up.
        """
        world, plans = self._world, self._world.neighbours.plans
        listed = [each for each in world.scene.symbols if world.neighbours.publisher.is_listed(each)]
        await self._are_allowed((symbol, plans.entry_along(symbol)) for symbol in listed)
        # Exits rest on a snapshot that was proven after the last result: a proof later, at most.
        await trio.sleep(_BOOKED_WITHIN_SEC + world.settings.stream_proof_sec)
        await self._are_allowed((name, plans.full_exit(name, leg)) for name, leg in self._held())
        await trio.sleep(_BOOKED_WITHIN_SEC)

    async def plans_are_executed(self) -> None:
        """Raises ViolationError unless opens or adds, and then closes, are executed in a quiet moment.

        An operator brings the ledgers into line before. One order gets no answer, and ends all the same.
        """
        world, plans = self._world, self._world.neighbours.plans
        listed = [each for each in world.scene.symbols if world.neighbours.publisher.is_listed(each)]
        await self._are_executed([(symbol, plans.entry_along(symbol)) for symbol in listed])
        await trio.sleep(world.settings.stream_proof_sec + world.settings.cooldown_sec)
        held = self._held()
        world.orders.way.next.append(OrderFate("hang"))
        await self._are_executed([(name, plans.full_exit(name, leg)) for name, leg in held])
        world.orders.way.next.clear()
        for name, leg in held:
            amount = world.ledgers.amount(name, leg)
            closed = amount == ZERO or (name in self._cooled and amount == world.venue.amount(name, leg))
            require(closed, "e2", f"{name} {leg}: closed, and the ledger is {amount}")

    async def _are_executed(self, proposals: list[tuple[str, Fields]]) -> None:
        world = self._world
        plans = await self._are_allowed(proposals, give_up=False)
        await trio.sleep(world.settings.order_timeout_sec + _EXECUTED_WITHIN_SEC)
        ordered = {each.plan_id: each.order for each in world.books.executions.values()}
        for plan in plans:
            if not world.governing.lets_execute(plan):
                continue
            order = ordered.get(plan.plan_id)
            says = f"{plan.plan_id} {plan.fields['side']} {plan.symbol}: {order}"
            executed = order is not None and order.executed > ZERO
            require(executed and world.books.kept.finals.get(plan.plan_id) == 1, "f", f"not executed: {says}")

    async def unknown_outcomes_end(self) -> None:
        """Raises ViolationError unless an order of unknown outcome is booked by the exchange's event of it.

        In a quiet moment, while the stream stands: a part of a position is closed, and nothing reports it.
        """
        world, neighbours = self._world, self._world.neighbours
        if not (held := self._held()):
            return
        name, leg = held[0]
        # As any exit, this one rests on a snapshot that was proven after the last result.
        await trio.sleep(world.settings.stream_proof_sec)
        (plan,) = await self._are_allowed([(name, neighbours.plans.full_exit(name, leg))], give_up=False)
        if not neighbours.consumers.execute_unseen(plan):
            return
        await trio.sleep(_EVIDENCE_WITHIN_SEC)
        reserved = world.redis.hgetall(world.keys.open_permits(name)).get(f"p:{plan.plan_id}".encode())
        require(reserved is None, "c", f"{plan.plan_id} is filled, and still reserved: {reserved!r}")
        amount = world.ledgers.amount(name, leg)
        require(amount == ZERO, "d", f"{name} {leg}: closed by an order of unknown outcome, ledger {amount}")

    async def _are_allowed(
        self, proposals: Iterable[tuple[str, Fields]], *, give_up: bool = True
    ) -> list[Published]:
        world, neighbours = self._world, self._world.neighbours
        plans = []
        for symbol, fields in proposals:
            neighbours.repairs.correct(symbol)
            plan = neighbours.publisher.new_plan(symbol, fields)
            neighbours.publisher.publish(plan)
            if neighbours.governor is not None:
                await neighbours.governor.judge(plan)
            plans.append(plan)
        await trio.sleep(_DECIDED_WITHIN_SEC)
        cooled = [plan for plan in plans if self._cools_down(plan, plans)]
        plans, self._cooled = [each for each in plans if each not in cooled], {each.symbol for each in cooled}
        refused = [
            f"{plan.plan_id} {plan.fields['side']}"
            for plan in plans
            if not world.books.kept.decided.get(plan.plan_id) and world.governing.lets_execute(plan)
        ]
        require(not refused, "f", f"not allowed, and nothing is wrong: {refused}")
        for plan in plans if give_up else ():
            neighbours.consumers.give_up(plan)
        return plans

    def _cools_down(self, plan: Published, plans: Iterable[Published]) -> bool:
        """Return True for one that was denied for the cooldown that another one's fill began."""
        begun = {each.plan_id for each in self._world.books.executions.values()}
        filled = any(each.symbol == plan.symbol and each.plan_id in begun for each in plans)
        return filled and plan.plan_id in self._world.decisions.cooled

    def _held(self) -> list[tuple[str, PositionSide]]:
        """Return the legs with a position, of symbols that are kept fresh."""
        venue, fresh = self._world.venue, filter(self._is_kept_fresh, self._world.scene.symbols)
        held = [(name, leg) for name in fresh for leg in venue.legs_of(name)]
        return [(name, leg) for name, leg in held if venue.amount(name, leg)]

    def _is_kept_fresh(self, symbol: str) -> bool:
        """Return whether the symbol is kept fresh by single reads: those that may be opened, at least."""
        world = self._world
        return world.settings.fetch_mode != "per_symbol" or world.neighbours.publisher.is_listed(symbol)

    def _judge_snapshot(self, symbol: str, holder: Process) -> None:
        world = self._world
        stored = world.redis.hgetall(world.keys.snapshot(symbol))
        require(stored, "f", f"{symbol} has no snapshot")
        age_sec = (true_ms() - (int(stored[b"ts_epoch_ms"]) - holder.clock.offset_ms)) / 1000
        limit_sec = world.settings.stale_threshold_sec
        require(age_sec <= limit_sec, "f", f"{symbol}: the snapshot is {age_sec:.1f} s old")

    async def _judge_deciding(self) -> None:
        """Check that a stop-loss update of every symbol is answered, and reserves nothing."""
        world, neighbours = self._world, self._world.neighbours
        plans = []
        for symbol in world.scene.symbols:
            fields = neighbours.plans.stop_loss_update(symbol)
            plan = neighbours.publisher.new_plan(symbol, fields)
            neighbours.publisher.publish(plan)
            plans.append(plan)
        await trio.sleep(_DECIDED_WITHIN_SEC)
        late = [plan.plan_id for plan in plans if plan.plan_id not in world.books.kept.decided]
        require(not late, "f", f"not decided within {_DECIDED_WITHIN_SEC} s: {late}")

    def all_is_done(self) -> None:
        """Raises ViolationError unless all that was published was answered or booked, with nothing left."""
        world = self._world
        require(not (pending := world.pending()), "f", f"still pending: {pending[:5]}")
        undecided = self._undecided()
        require(not undecided, "b", f"no decision: {undecided[:5]}")
        world.ledgers.all_is_booked()
        for symbol in world.scene.symbols:
            world.ledgers.compare(symbol)
        require(
            not world.ledgers.dead_letters,
            "d",
            f"good results are dead letters: {world.ledgers.dead_letters[:3]}",
        )
        self._judge_leaks()

    def _undecided(self) -> list[str]:
        world = self._world
        stream = world.redis.keyspace.stream(world.keys.plans)
        if stream is None:
            raise ViolationError("b", "the stream of plans is gone")
        decided = world.books.kept.decided
        return [
            f"{plan_id} ({entry_id})"
            for entry_id, plan_id in world.books.plan_of_entry.items()
            if plan_id not in decided
            and plan_id not in world.books.lost  # Redis lost its decision, the evaluator has it
            and world.books.published[plan_id].wants
            and world.in_stream(world.keys.plans, entry_id)
        ]

    def _judge_leaks(self) -> None:
        world = self._world
        tasks = trio.lowlevel.current_statistics().tasks_living
        if not self._most_tasks:
            self._most_tasks = tasks + _FEWEST_TASKS_SPARE
        require(tasks <= self._most_tasks, "g", f"{tasks} tasks, {self._most_tasks} at most expected")
        for process in world.processes.values():
            # A standby books nothing, so the fills that it received wait, in a channel of bounded size.
            if process.channels is None or not holds_lease(process):
                continue
            for channel in process.channels.all():
                if channel.name.startswith(("shard_", "on_demand_", "changes", "fills", "metrics")):
                    require(
                        channel.depth <= 64, "g", f"{process.name}: {channel.depth} wait in {channel.name}"
                    )
        self._judge_memory()
        keys = world.redis.keys()
        lasting = [
            key
            for key in keys
            if key.startswith(_EXPIRING) and world.redis.pttl(key) < 0 and not key.startswith(_LASTING)
        ]
        require(not lasting, "g", f"keys that never expire: {lasting[:5]}")

    def _judge_memory(self) -> None:
        """At rest, processes remember few plans and orders. Some memories are meant to be long."""
        world = self._world
        gc.collect()
        kept = gc.get_objects()
        lists: list[object] = [
            each
            for each in kept
            if isinstance(
                each,
                RecentDecisions | RecentJudgements | FillMemory | SharedPlans | BridgeReports | BridgeNow,
            )
        ]
        lists += [each._allowed for each in kept if isinstance(each, PlanDecider)]
        lists += [each._ended for each in kept if isinstance(each, ResultBook)]
        lists += [each._published_ms for each in kept if isinstance(each, EntryTimes)]
        # Grants that count, as Redis holds them, until their time is over.
        lists += [each for each in kept if isinstance(each, GovernedState | LiveEntries | EarlyResults)]
        around = (
            world, world.redis, world.redis.keyspace, world.venue, world.streams, world.books, world.trace,
            world.neighbours, world.claims, world.ledgers, world.decisions, world.governing,
            world.governing.waiting, world.reconciling, world.chain, world.chain.bridge,
            world.chain.bridge.judge, world.chain.intelligence, world.chain.universe, self,
        )  # fmt: skip
        running = [
            (process.channels, process.tree, process.store)
            for process in world.processes.values()
            if process.tree
        ]
        plans, orders = remembered(running, (*around, *lists), world.books.orders.keys())
        most = _MOST_PLANS + left_in_hand(world.processes.values(), kept)
        require(plans <= most, "g", f"{plans} plans are remembered, {most} at most expected")
        require(
            orders <= _MOST_ORDERS, "g", f"{orders} orders are remembered, {_MOST_ORDERS} at most expected"
        )
