"""Injection of each fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from simulator.faults import RestFault
from tests.simulation.chain_faults import ChainFaults
from tests.simulation.clock_faults import ClockFaults
from tests.simulation.faults import Fault
from tests.simulation.field_faults import FieldFaults
from tests.simulation.governor_faults import GovernorFaults
from tests.simulation.liveness import Liveness
from tests.simulation.order_faults import OrderFaults
from tests.simulation.process import Process
from tests.simulation.reconcile_faults import ReconcileFaults
from tests.simulation.redis_faults import RedisFaults
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

_STORE_METHODS = (
    None, None, "commit_decisions", "commit_result", "plans.read_new", "results.read_new", "booking_state",
    "write_snapshots", "prove_snapshots", "hold_lease", "plans.recover", "results.recover", "commit_results",
    "booking_states",
)  # fmt: skip
_EXECUTOR_METHODS = (
    "begin_order", "begin_order", "record_progress", "record_progress", "refuse_plan", "hold_symbol",
    "release_hold", "look_at_permits", "executions.read_new", "executions.recover", "open_orders",
    "order_record", "record_orphan",
)  # fmt: skip
_CRASHING_WAYS = ("store", "store", "rest", "stream")
#: An entry that is in work in three crashes becomes a dead letter: so they keep some distance.
_BETWEEN_CRASHES_SEC = 4.0
_SOON_SEC = 3.0
#: They change what there is to be noticed, and are over at once.
_NOT_DISTURBING = frozenset(
    {
        "deleted_key", "wiped_account", "restored_position", "event_dated_ahead", "flat_both_row",
        "silent_move", "lost_events", "doubled_events", "v2_removed", "entry_ahead", "unknown_outcomes",
        "hidden_orders", "slow_fills", "trading_state", "kill_switch", "lost_orders", "wrong_answers",
        "used_order_limit", "failing_account", "gain_or_loss", "transfer", "churn", "risk_guard", "budget",
        "efficiency", "unreadable_stats", "governor_calls", "lost_results", "trimmed_results",
        "orphan_orders", "outside_trade", "two_causes", "undone_fill", "failing_history", "lagging_history",
        "hand_correction", "foreign_hold", "released_hold", "reconcile_calls", "reconcile_eviction",
        "bridge_calls", "bridge_eviction", "lockdown", "intents_again", "many_intents", "intelligence_calls",
        "strange_results", "halted_symbol", "lost_intent_group", "lost_count_group",
    }
)  # fmt: skip
#: So many connections end right after an event that they delivered.
_LAST_WORDS = 0.5


class Striker:
    """Brings the faults of a run about, each in its time."""

    def __init__(self, world: World, faults: list[Fault], liveness: Liveness) -> None:
        self._world = world
        self._faults = faults
        self._crashed_sec = -_BETWEEN_CRASHES_SEC
        self._disturbed_sec = 0.0
        self._busy: set[str] = set()
        self._strikes: dict[str, Callable[[Fault], Awaitable[None]]] = {
            name.removeprefix("_").removeprefix("do_"): getattr(part, name)
            for part in (
                self,
                FieldFaults(world, liveness),
                RedisFaults(world),
                ClockFaults(world),
                OrderFaults(world, self._may_crash),
                GovernorFaults(world, self._may_crash),
                ReconcileFaults(world, self._may_crash),
                ChainFaults(world, self._may_crash),
            )
            for name in dir(part)
            if name.startswith(("_do_", "do_"))
        }
        world.disturbed_sec = self._last_disturbed_sec
        require({fault.kind for fault in faults} <= set(self._strikes), "faults", f"unknown kind in {faults}")

    async def strike(self) -> None:
        """Until all have had their turn."""
        async with trio.open_nursery() as nursery:
            for fault in self._faults:
                await trio.sleep_until(fault.at_sec)
                # Of switches there is one each: a second of its kind would be ended by the first.
                if fault.kind in self._busy:
                    continue
                self._world.struck[fault.kind] = self._world.struck.get(fault.kind, 0) + 1
                self._world.trace.note(f"fault {fault.kind} {fault.for_sec} {fault.size:.3f} {fault.which}")
                nursery.start_soon(self._bring_about, fault)

    async def _bring_about(self, fault: Fault) -> None:
        self._busy.add(fault.kind)
        self._world.governing.waiting.began(fault.kind)
        self._world.reconciling.began(fault.kind)
        try:
            await self._strikes[fault.kind](fault)
        finally:
            self._disturbed_sec = self._last_disturbed_sec()
            self._busy.discard(fault.kind)
            self._world.governing.waiting.ended(fault.kind)
            self._world.reconciling.ended(fault.kind)

    def _last_disturbed_sec(self) -> float:
        """Return the time of the last disturbance that may keep a process from noticing something else."""
        now_sec = trio.current_time()
        if self._busy - _NOT_DISTURBING:
            self._disturbed_sec = now_sec
        return max(self._disturbed_sec, min(now_sec, self._world.no_reads_until_sec))

    def _process(self, fault: Fault) -> Process:
        processes = list(self._world.processes.values())
        return processes[fault.which % len(processes)]

    def _may_crash(self) -> bool:
        now_sec = trio.current_time()
        if now_sec - self._crashed_sec < _BETWEEN_CRASHES_SEC:
            return False
        self._crashed_sec = now_sec
        return True

    # Actors and processes.

    async def _do_actor_crash(self, fault: Fault) -> None:
        sabotage = self._process(fault).sabotage
        if (names := sabotage.actors()) and self._may_crash():
            # At any of its steps, so that the shortest waits have their turn, too.
            sabotage.strike(names[fault.which % len(names)], after_steps=int(fault.size * 60))

    async def _do_call_crash(self, fault: Fault) -> None:
        tripwires = self._process(fault).tripwires
        if self._may_crash():
            tripwire = tripwires[_CRASHING_WAYS[fault.which // 2 % len(_CRASHING_WAYS)]]
            tripwire.lay(1 + int(fault.size * 12))
            await trio.sleep(_SOON_SEC)
            tripwire.lay(0)

    async def _do_stall(self, fault: Fault) -> None:
        store = self._process(fault).store
        if store is not None and self._may_crash():
            store.hang_sec, store.hang_in = fault.for_sec, 1 + int(fault.size * 12)
            await trio.sleep(_SOON_SEC)
            store.hang_in = 0

    async def _do_kill(self, fault: Fault) -> None:
        if self._may_crash():
            self._process(fault).kill(fault.for_sec)

    async def _do_terminate(self, fault: Fault) -> None:
        if self._may_crash():
            self._process(fault).terminate(fault.for_sec)

    async def _do_cut_off(self, fault: Fault) -> None:
        reach = self._process(fault).reach
        reach.cut()
        await trio.sleep(fault.for_sec)
        self._world.streams.came_at_once()
        reach.restore()

    # The exchange.

    async def _do_slow_rest(self, fault: Fault) -> None:
        faults, scene = self._world.venue.faults, self._world.scene
        faults.rest_latency_ms, faults.rest_jitter_ms = 200 + fault.size * 1800, fault.size * 300
        await trio.sleep(fault.for_sec)
        faults.rest_latency_ms, faults.rest_jitter_ms = scene.rest_ms, scene.rest_jitter_ms

    async def _do_failing_rest(self, fault: Fault) -> None:
        faults = self._world.venue.faults
        share = 0.1 + 0.2 * fault.size
        faults.fail_before_effect = fault.which % 2 == 0
        rates: dict[RestFault, float] = dict.fromkeys(("5xx", "truncated", "reset", "not_json"), share)
        faults.rest_fault_rates |= rates
        await self._world.without_reads(fault.for_sec)
        for name in rates:
            faults.rest_fault_rates.pop(name, None)

    async def _do_hanging_rest(self, fault: Fault) -> None:
        faults = self._world.venue.faults
        faults.rest_faults_next = ["hang"] * (1 + fault.which % 4)
        await self._world.without_reads(fault.for_sec + 10)
        faults.rest_faults_next = []

    async def _do_too_many_requests(self, fault: Fault) -> None:
        faults = self._world.venue.faults
        faults.retry_after_sec = max(1, int(fault.for_sec))
        faults.rest_faults_next = ["429"]
        await self._world.without_reads(fault.for_sec)

    async def _do_ban(self, fault: Fault) -> None:
        weights, host_ms = self._world.venue.weights, self._world.venue.host_ms
        weights.ban(host_ms(), round(fault.for_sec * 1000))
        await self._world.without_reads(fault.for_sec, banned=True)

    async def _do_silent_move(self, fault: Fault) -> None:
        world = self._world
        symbol = world.scene.symbols[fault.which % len(world.scene.symbols)]
        world.streams.note_lost_change(symbol)
        world.neighbours.move(symbol, announced=False)

    # Its streams.

    async def _do_stream_close(self, fault: Fault) -> None:
        world, last_words = self._world, fault.size < _LAST_WORDS
        if last_words:
            world.neighbours.move(world.scene.symbols[fault.which % len(world.scene.symbols)])
        for connection in world.streams.connections()[:: 1 + fault.which % 2]:
            connection.hang_up(last_words=last_words)

    async def _do_stream_freeze(self, fault: Fault) -> None:
        frozen = self._world.streams.connections()
        for connection in frozen:
            connection.frozen = True
        await trio.sleep(fault.for_sec)
        self._world.streams.thaw(frozen)

    async def _do_stream_refused(self, fault: Fault) -> None:
        streams = self._world.streams
        streams.refusing = True
        for connection in streams.connections():
            connection.hang_up()
        await trio.sleep(fault.for_sec)
        streams.refusing = False

    async def _do_late_events(self, fault: Fault) -> None:
        streams = self._world.streams
        streams.delay_sec, streams.jitter_sec = fault.size**3 * 2.0, fault.size * 0.1
        await trio.sleep(fault.for_sec)
        streams.delay_sec = streams.jitter_sec = 0.0

    async def _do_lost_events(self, fault: Fault) -> None:
        self._world.streams.lose_next += 1 + fault.which % 4
        await trio.lowlevel.checkpoint()

    async def _do_reordered_events(self, fault: Fault) -> None:
        self._world.streams.hold_share = 0.1 + 0.4 * fault.size
        await trio.sleep(fault.for_sec)
        self._world.streams.hold_share = 0.0

    async def _do_doubled_events(self, fault: Fault) -> None:
        self._world.streams.double_share = 0.1 + 0.9 * fault.size
        await trio.sleep(fault.for_sec)
        self._world.streams.double_share = 0.0

    async def _do_listen_key_expiry(self, fault: Fault) -> None:
        self._world.venue.expire_listen_key(now=True)

    # Redis.

    async def _do_slow_store(self, fault: Fault) -> None:
        store = self._process(fault).store
        if store is not None:
            store.slow_sec = 0.01 + 0.4 * fault.size**2
            await trio.sleep(fault.for_sec)
            store.slow_sec = 0.0

    async def _do_lost_request(self, fault: Fault) -> None:
        self._fail_next(fault, before=True)

    async def _do_lost_answer(self, fault: Fault) -> None:
        self._fail_next(fault, before=False)

    def _fail_next(self, fault: Fault, *, before: bool) -> None:
        store = self._process(fault).store
        if store is not None:
            method = _STORE_METHODS[fault.which % len(_STORE_METHODS)]
            if self._world.scene.executor and fault.which % 2:
                method = _EXECUTOR_METHODS[fault.which // 2 % len(_EXECUTOR_METHODS)]
            count = 1 + int(fault.size * 3)
            store.faults.fail_next("before" if before else "after", method=method, count=count)

    async def _do_redis_outage(self, fault: Fault) -> None:
        with self._world.redis.faults.outage("before"):
            await trio.sleep(fault.for_sec)

    async def _do_redis_answers_lost(self, fault: Fault) -> None:
        with self._world.redis.faults.outage("after"):
            await trio.sleep(fault.for_sec)

    async def _do_redis_restart(self, fault: Fault) -> None:
        self._world.restart_redis(None, None)

    async def _do_redis_loses_a_second(self, fault: Fault) -> None:
        world = self._world
        before, kept = world.redis.copy(), world.books.copy_kept()
        await trio.sleep(fault.for_sec)
        world.restart_redis(kept, before)
