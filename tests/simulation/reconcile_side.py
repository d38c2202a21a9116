"""Everything around the service's own reconcile engine: judges, operators, and results that are lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, TypeVar

import trio

from brain.ledger.adoption import decode_adopted
from store.memory.streams import parse_id
from store.reconcile_records import CloseProposal, LedgerRepair
from tests.simulation.clocks import true_ms
from tests.simulation.orphan_orders import OrphanOrders
from tests.simulation.reconcile_closes import ReconcileCloses
from tests.simulation.reconcile_holds import ReconcileHolds
from tests.simulation.reconcile_look import ReconcileKeys, ReconcileLook
from tests.simulation.reconcile_operator import ReconcileOperator
from tests.simulation.reconcile_repairs import ReconcileRepairs
from tests.simulation.reconcile_rest import ReconcileRest
from tests.simulation.reconcile_scene import DEFAULTS
from tests.simulation.reconcile_timing import ReconcileTiming
from tests.simulation.reconcile_truth import Truth
from tests.simulation.reconcile_weight import EvidenceWeight
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
#: After what may have kept the engine from holding in time (seconds).
_AFTERMATH_SEC = 6.0
#: They keep the engine from it, and disturb nobody else.
_DISTURBING = frozenset(
    {
        "released_hold", "foreign_hold", "reconcile_point", "reconcile_calls", "reconcile_eviction",
        "hand_correction",
    }
)  # fmt: skip
_STEPPED_WITHIN_MS = 1_800_000
#: The share of results that are lost, while some are.
_LOST_SHARE = 0.6


class ReconcileSide:
    """There is one in every world; only where the service's own engine runs anything comes of it."""

    def __init__(self, world: World) -> None:
        scene = world.scene
        self.world = world
        self.venue, self.redis, self.trace = world.venue, world.redis, world.trace
        self.there = scene.reconcile != "off"
        #: Whether it acts; otherwise it is in the shadow.
        self.acts = scene.reconcile == "on"
        self.look = ReconcileLook(world.redis, ReconcileKeys(shadow=not self.acts), scene.symbols)
        self._real = ReconcileLook(world.redis, ReconcileKeys(shadow=False), scene.symbols)
        adopted = frozenset(self.text("P34_ADOPT_CAUSES").split(","))
        self.truth = Truth(world.books, world.venue, world.redis, world.keys, world.ledgers, adopted)
        self.holds = ReconcileHolds(self, self.look)
        self.repairs = ReconcileRepairs(self)
        self.closes = ReconcileCloses(self)
        self.timing = ReconcileTiming(self)
        self.rest = ReconcileRest(self)
        self.weight = EvidenceWeight(round(self.number("P34_WEIGHT_PER_MIN")))
        self.operator = ReconcileOperator(self, Random(f"{scene.seed}:reconcile operator"))
        self.orphans = OrphanOrders(world, Random(f"{scene.seed}:orphans"))
        #: How results are lost at present: their entries, or all of the stream; empty: not at all.
        self.loses = ""
        self.lost = 0
        self.asked_for = 0
        self.events: dict[str, int] = {}
        self._rng = Random(f"{scene.seed}:lost results")
        self._disturbed_sec = 0.0
        self._busy: set[str] = set()
        if self.there:
            world.venue.faults.history_lag_ms = scene.history_lag_ms
            world.neighbours.consumers.on_report = self.reported
            world.orders.results.on_report = self.reported
            world.orders.judge.others = self.orphans.names
        if self.acts:
            world.neighbours.reconciled = True

    # Settings, and what keeps the engine from its work.

    def text(self, variable: str) -> str:
        """Return a setting."""
        return self.world.scene.environment.get(variable, DEFAULTS[variable])

    def number(self, variable: str) -> float:
        """Return a setting that is a number."""
        return float(self.text(variable))

    def decimal(self, variable: str) -> Decimal:
        """Return a setting that is a share."""
        return Decimal(self.text(variable))

    def began(self, kind: str) -> None:
        """Note a fault that begins."""
        if kind in _DISTURBING:
            self._busy.add(kind)

    def ended(self, kind: str) -> None:
        """Note its end."""
        if kind in _DISTURBING:
            self._busy.discard(kind)
            self._disturbed_sec = trio.current_time()

    def is_disturbed(self) -> bool:
        """Return whether anything keeps, or just kept, the engine from holding in time."""
        disturbed_sec = max(self._disturbed_sec, self.world.disturbed_sec())
        return bool(self._busy) or trio.current_time() < disturbed_sec + _AFTERMATH_SEC

    def is_misdated(self, symbol: str) -> bool:
        """Return whether a clock that was set within the round hides what the ledger contains.

        That is the exchange's; and of a ledger that was adopted from a row dated ahead, Redis's, by which its
        age is known.
        """
        since_ms = true_ms() - _STEPPED_WITHIN_MS
        if len(self.venue.clock.offsets_since(since_ms)) > 1:
            return True
        ledger = self.redis.hgetall(self.world.keys.ledger(symbol))
        adopted = decode_adopted(ledger.get(b"adopted_exchange_ms", b"").decode())
        latest_ms = 0 if adopted is None else max(adopted.changed_ms.values(), default=0)
        is_ahead = latest_ms > self.venue.exchange_ms()
        return is_ahead and len(self.world.redis_clock.offsets_since(since_ms)) > 1

    def is_held(self, symbol: str) -> bool:
        """Return whether anybody holds a symbol, the shadow included."""
        held = self.redis.kind(self.world.keys.hold(symbol)) != "none"
        return held or self.look.hold(symbol) is not None

    def is_kept_fresh(self, symbol: str) -> bool:
        """Return whether the symbol is read where symbols are read one by one."""
        listed = self.world.neighbours.publisher.is_listed(symbol)
        return self.world.settings.fetch_mode != "per_symbol" or listed

    # The steps of the engine.

    def stepped(self, writer: str, effect: Callable[[], T], *, proposes: bool = False) -> T:
        """Judge a step of a case; one that `proposes` may publish a plan."""
        plans, results = self.world.keys.plans, self.world.keys.results
        before = self.look.last_id(plans), self.look.last_id(results)
        events = self.look.last_id(self.look.keys.events)
        others = None if self.acts else self._others()
        answer = self.holds.around(writer, effect)
        after = self.look.last_id(plans), self.look.last_id(results)
        same = after[1] == before[1] and (proposes or after[0] == before[0])
        require(same, "r6", f"{writer} published a plan or a result")
        if others is not None:
            require(self._others() == others, "r6", f"{writer} wrote in the shadow what others read")
        for _, fields in self.look.behind(self.look.keys.events, events):
            name = fields.get("event", "")
            self.events[name] = self.events.get(name, 0) + 1
            self.trace.note(f"{writer} says {name} {fields.get('symbol')}")
        return answer

    def repaired(self, writer: str, repair: LedgerRepair, effect: Callable[[], bool]) -> bool:
        """Judge a repair."""
        hold = self.look.hold(repair.symbol)
        return self.stepped(writer, lambda: self.repairs.judge(writer, repair, hold, effect))

    def proposed(self, writer: str, proposal: CloseProposal, effect: Callable[[], bool]) -> bool:
        """Judge the proposal of a close."""
        return self.stepped(writer, lambda: self.closes.judge(writer, proposal, effect), proposes=True)

    def started(self, writer: str) -> None:
        """Note that a process begins anew."""
        self.weight.started(writer)

    def engine_began(self, writer: str) -> None:
        """Note that the engine begins: behind a start, another lease, or a break of Redis."""
        self.timing.engine_began(self.world.processes[writer])
        self.truth.restart(self.world.scene.symbols)

    def moved(self, symbol: str) -> None:
        """Note that a result's booking has moved a ledger."""
        self.truth.moved(symbol)

    def compared(self, symbols: Collection[str]) -> None:
        """Note that the engine compares these ledgers now."""
        self.truth.compared(symbols)

    def noted(self, agreed_ms: Mapping[str, int]) -> None:
        """Note that Redis has agreements of these symbols (the exchange's clock)."""
        self.truth.noted(agreed_ms)

    def asked(self, writer: str, symbol: str, weight: int) -> None:
        """Judge a request for evidence that leaves now."""
        self.asked_for += 1
        self.holds.asked(writer, symbol)
        self.weight.asked(writer, weight)

    def evicted(self, keys: Sequence[str]) -> None:
        """Note what Redis does not know any more."""
        names = self.world.scene.symbols
        self.closes.evicted(list(keys))
        for name in names:
            if self.look.keys.state(name) in keys:
                self.truth.forget(name)
            if self.look.keys.hold_sig(name) in keys:
                self.operator.ownerless.add(name)

    def _others(self) -> dict[str, object]:
        """Return what the engine must leave alone in the shadow."""
        redis, keys = self.redis, self.world.keys
        names = {each for each in list(redis.keys()) if not each.startswith("quantum:reconcile:shadow:")}
        hashes = {
            symbol: (
                redis.hgetall(keys.ledger(symbol)),
                self.truth.memories(symbol),
                redis.hgetall(keys.open_permits(symbol)),
                self._real.hold(symbol),
            )
            for symbol in self.world.scene.symbols
        }
        return {"names": names, **hashes}

    # Results that nobody reads.

    def reported(self, entry_id: str, order_id: str) -> None:
        """Lose a result that was just published, where some are lost."""
        if not self.loses or self._rng.random() >= _LOST_SHARE:
            return
        self.lost += 1
        world, key = self.world, self.world.keys.results
        stream = self.redis.keyspace.make_stream(key)
        entries = [entry_id]
        if self.loses == "stream":
            # Trimmed, together with what else nobody has read. What was read is no part of the matter.
            read = max((group.last_delivered for group in stream.groups.values()), default=(0, 0))
            entries = [each for each, _ in self.redis.xrange(key) if parse_id(each) > read]
        for each in entries:
            self.redis.xdel(key, each)
            report = world.books.kept.reports.pop(each, None)
            world.books.unreported.update([] if report is None else [report.order_id])
        world.books.unreported.add(order_id)
        self.trace.note(f"lost {entries}")

    # What goes on by itself.

    def start(self, nursery: trio.Nursery) -> None:
        """Start what goes on by itself."""
        if self.there:
            nursery.start_soon(self.timing.watch)
        if self.acts:
            nursery.start_soon(self.operator.operate)

    def set_trading(self, on: bool) -> None:
        """Let operators settle cases, or wait."""
        self.operator.trading = on

    def counts(self) -> dict[str, int]:
        """Return the numbers of events, where there were any."""
        if not self.there:
            return {}
        return {
            "held": self.holds.set,
            "released": self.holds.released,
            "taken over": self.holds.taken_over,
            "foreign holds": self.holds.foreign,
            "evidence": self.asked_for,
            "repairs": self.repairs.count,
            "closes": self.closes.count,
            "manual": self.rest.manual,
            "orphans": self.orphans.count,
            "lost results": self.lost,
            "settled by hand": self.operator.corrected,
            **{f"repaired {name}": count for name, count in sorted(self.repairs.causes.items())},
            **{f"event {name}": count for name, count in sorted(self.events.items())},
        }
