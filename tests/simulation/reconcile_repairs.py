"""Invariant (r2): a repair adds trades of adopted causes that the exchange has, each once, and no more."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING

from brain.ledger.order_memory import decode_memory
from simulator.errors import ApiError
from simulator.history import PositionSide
from simulator.orders import Order
from store.reconcile_records import LedgerRepair
from store.records import OrderWrite
from tests.simulation.clocks import true_ms
from tests.simulation.reconcile_look import HoldSeen
from tests.simulation.reconcile_truth import BELIEVED_MS
from tests.simulation.venue import ZERO
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.reconcile_side import ReconcileSide

_MOST_WAYS = 4_000


class ReconcileRepairs:
    """Looks at every repair in the moment in which it is written."""

    def __init__(self, side: ReconcileSide) -> None:
        self.count = 0
        self.causes: dict[str, int] = {}
        self._side = side

    def judge(
        self, writer: str, repair: LedgerRepair, hold: HoldSeen | None, effect: Callable[[], bool]
    ) -> bool:
        """Judge a repair that `effect` is to write, while `hold` stands."""
        side = self._side
        symbol = repair.symbol
        events = side.look.last_id(side.look.keys.events)
        before, amounts = self._stored(symbol), side.truth.amounts(symbol)
        memories = side.truth.memories(symbol)
        written = effect()
        said = [fields for _, fields in side.look.behind(side.look.keys.events, events)]
        if not written:
            same = self._stored(symbol) == before and not said
            require(same, "r2", f"{writer}: a repair of {symbol} that was not written changed something")
            return written
        ours = hold is not None and hold.is_ours and (hold.sig or b"").decode() == repair.hold.before
        require(ours, "r1", f"{writer} repairs {symbol}, and its hold is {hold}")
        names = [fields.get("event") for fields in said]
        require("AUTO_REPAIR" in names, "r2", f"{symbol} is repaired, and the events say {names}")
        if not side.acts:
            require(self._stored(symbol) == before, "r6", f"{symbol} is repaired in the shadow")
            return written
        self.count += 1
        side.trace.note(f"{writer} repairs {symbol} {[(w.order_id, w.after) for w in repair.orders]}")
        self._judge_orders(repair, memories, amounts)
        self._judge_sum(repair, amounts)
        side.world.ledgers.compare(symbol)
        side.truth.look(symbol)
        return written

    def _stored(self, symbol: str) -> tuple[object, ...]:
        """Return all that no failed repair may change."""
        keys, redis = self._side.world.keys, self._side.redis
        return (
            redis.hgetall(keys.ledger(symbol)),
            self._side.truth.memories(symbol),
            redis.hgetall(keys.open_permits(symbol)),
        )

    def _judge_orders(
        self,
        repair: LedgerRepair,
        memories: dict[bytes, bytes],
        amounts: dict[PositionSide, Decimal | None],
    ) -> None:
        """Check each leg's move: a sum of fills of the exchange that were not booked."""
        side, kept, symbol = self._side, self._side.world.books.kept, repair.symbol
        moves: dict[PositionSide, list[list[Decimal]]] = {leg: [] for leg in amounts}
        for write in repair.orders:
            found = side.truth.memories(symbol).get(write.order_id.encode(), b"").decode()
            require(found == write.after, "r2", f"{symbol}: {found!r} is remembered of {write}")
            order = self._order(symbol, write)
            cause = side.truth.cause(order, memories)
            says = f"{symbol}: order {write.order_id} ({order.client_order_id})"
            require(side.truth.is_adopted(cause), "r2", f"{says} of {cause} is booked")
            self.causes[cause] = self.causes.get(cause, 0) + 1
            stored = memories.get(write.order_id.encode())
            growths = self._growths(order, write, None if stored is None else stored.decode(), says)
            moves[order.position_side].append([g if order.side == "BUY" else -g for g in growths])
            kept.booked[write.order_id] = decode_memory(write.after).cumulative
            kept.repaired.add(write.order_id)
        for leg, was in amounts.items():
            now = side.world.ledgers.amount(symbol, leg)
            moved = (now or ZERO) - (was or ZERO)
            ways = [sum(way, ZERO) for way, _ in zip(product(*moves[leg]), range(_MOST_WAYS), strict=False)]
            says = f"{symbol} {leg}: repaired from {was} to {now}"
            require(moved in ways, "r2", f"{says}, and the fills allow {sorted(set(ways))}")
            kept.ledger[symbol, leg] = now or ZERO

    def _order(self, symbol: str, write: OrderWrite) -> Order:
        try:
            return self._side.venue.orders.find(symbol, order_id=int(write.order_id))
        except ApiError:
            require(False, "r2", f"{symbol}: order {write.order_id} is booked, and the exchange has none")
            raise

    def _growths(self, order: Order, write: OrderWrite, stored: str | None, says: str) -> list[Decimal]:
        """Return what may be booked of an order: its latest fills, as far as no result has booked them."""
        after, fills = decode_memory(write.after).cumulative, [fill.quantity for fill in order.fills]
        sums = [sum(fills[:count], ZERO) for count in range(len(fills) + 1)]
        require(after in sums, "r2", f"{says}: {after} is remembered, its fills are {sums}")
        booked = ZERO if stored is None else decode_memory(stored).cumulative
        require(after > booked, "r2", f"{says}: {after} is remembered after {booked}")
        symbol = order.symbol.name
        contained = self._side.world.ledgers.contained(symbol, order.position_side, write.order_id)
        if symbol in self._side.truth.set_back:
            contained = ZERO
        return [after - max(booked, each) for each in sums if contained <= each < after]

    def _judge_sum(self, repair: LedgerRepair, before: dict[PositionSide, Decimal | None]) -> None:
        """Check that a leg that moved is an amount that the exchange had recently, less others' trades."""
        side, symbol = self._side, repair.symbol
        for leg in side.venue.legs_of(symbol):
            ledger = side.world.ledgers.amount(symbol, leg)
            if ledger == before[leg]:
                continue
            since_ms = true_ms() - BELIEVED_MS
            held = side.venue.amounts_between(symbol, leg, since_ms, true_ms())
            if ledger in held:
                continue
            says = f"{symbol} {leg}: repaired to {ledger}, and the exchange had {sorted(held)}"
            waits = repair.hold.sig or side.timing.is_reserved(symbol)
            require(waits, "r2", f"{says}, and the hold is released")
            foreign = self._foreign_sums(symbol, leg, since_ms)
            fits = any(amount - (ledger or ZERO) in foreign for amount in held)
            require(fits, "r2", f"{says}, with {sorted(foreign)} of others")

    def _foreign_sums(self, symbol: str, leg: PositionSide, since_ms: int) -> set[Decimal]:
        """Return the sums of others' trades, and of closes of them, in a row that may wait for a person."""
        side = self._side
        changes, memories = side.venue.changes[symbol, leg], side.truth.memories(symbol)
        recent = len(side.venue.changes_since(symbol, leg, since_ms))
        sums: set[Decimal] = set()
        for end in range(len(changes) - recent, len(changes) + 1):
            total = ZERO
            for change in reversed(changes[:end]):
                if change.order_id:
                    order = side.venue.orders.find(symbol, order_id=change.order_id)
                    adopted = side.truth.is_adopted(side.truth.cause(order, memories))
                    if not adopted or side.truth.closes(change.order_id):
                        total += change.delta
                        sums.add(total)
        return sums
