"""Ledger of the random histories: results booked as the ledger writer does, repairs as the engine does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from brain.identifiers import OrderId
from brain.ledger.booking import Booking, adopt, book
from brain.ledger.ledger import StoredLedger
from brain.ledger.order_memory import OrderMemory, decode_memory
from brain.ledger.plan_mark import Joined
from brain.ledger.result import FilledOrder
from brain.numbers import ZERO, parse_decimal, plain
from brain.positions.position import Leg, LegPosition
from brain.reconciliation.agreed import Agreed, amounts_text
from brain.reconciliation.agreeing import Agreements
from brain.reconciliation.comparing import Comparison, compare
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Evidence, Explained, Finding, Gap
from brain.reconciliation.repairing import Repaired, repair
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.weighing import weigh
from tests.brain.cases import NOW_MS
from tests.brain.reconciliation.cases import BTC
from tests.brain.reconciliation.judging import judge_repair
from tests.brain.reconciliation.venue import STEP, Order, Venue

SETTLE_SEC, PERMIT_MS = 2.0, 5_000
_OURS = {DriftCause.OWN_UNBOOKED, DriftCause.OWN_ORPHAN}


class Account:
    """Ledger and order memories; adopted when made.

    `undone`: what a leg lacked was traded back from outside, so that it may agree with fills unbooked.
    `blind`: a repair has passed them by then, since no agreement was known.
    `absorbed`: by order, fills that the ledger contains without their being booked. `base`: by leg, all that
    the ledger contains besides remembered orders. `named`: orders that a result has named.
    """

    def __init__(self, venue: Venue, rng: Random, adopted: frozenset[DriftCause], seen: Counter[str]) -> None:
        self.venue = venue
        self.adopted = adopted
        self.memories: dict[OrderId, str] = {}
        self.contained = {order.order_id: order.cumulative(len(venue.fills)) for order in venue.orders}
        self.absorbed = dict(self.contained)
        self.named: set[OrderId] = set()
        self.corrected = self.undone = self.blind = False
        self._rng = rng
        self._seen = seen
        fields = adopt(venue.position(len(venue.fills)), now_sec=Decimal(1))
        self.ledger = StoredLedger(
            last_known_amt=fields["last_known_amt"],
            long_amt=fields.get("long_amt"),
            short_amt=fields.get("short_amt"),
        )
        self.version = "1"
        self.base = {leg: self.amount(leg) for leg in venue.legs}
        self._agreements = Agreements(SETTLE_SEC)
        self._drifted: set[Leg] = set()
        self._gap: Gap | None = None
        self._forgotten: set[OrderId] = set()

    def amount(self, leg: Leg) -> Decimal:
        text = {Leg.BOTH: self.ledger.last_known_amt, Leg.LONG: self.ledger.long_amt}.get(
            leg, self.ledger.short_amt
        )
        return parse_decimal(text or "")

    def booked(self, order: Order) -> Decimal:
        text = self.memories.get(order.order_id)
        return ZERO if text is None else decode_memory(text).cumulative

    def report(self, order: Order, cumulative: Decimal) -> None:
        """Book a result, whichever its place among the others."""
        memory = OrderMemory(self.booked(order), 1) if order.order_id in self.memories else None
        contained = self.contained.get(order.order_id, ZERO)
        if contained > (memory.cumulative if memory else ZERO):
            memory = OrderMemory(contained, 1)
        booking = book(
            FilledOrder(order.order_id, order.side, cumulative, "", final=False),
            Joined(order.leg, order.side, moves_ledger=order.cause is not DriftCause.RECONCILE_CLOSE),
            symbol=BTC,
            stored=self.ledger,
            stored_version=self.version,
            memory=memory,
            permit=None,
            now_sec=Decimal(1),
        )
        assert isinstance(booking, Booking)
        self.ledger = booking.ledger
        if booking.fields is not None:
            self.version = booking.fields["version"]
        if booking.memory is not None:
            if memory is not None and memory.cumulative > self.booked(order):
                # It was contained, and is remembered now.
                self.base[order.leg] -= order.signed(memory.cumulative - self.booked(order))
            self.memories[order.order_id] = booking.memory
            if order.cause is not DriftCause.RECONCILE_CLOSE:
                self.absorbed[order.order_id] = ZERO
            self.named.add(order.order_id)

    def correct(self) -> None:
        """Set the ledger to the exchange's amounts by hand, as an operator does."""
        view = len(self.venue.fills)
        amounts = {leg: self.venue.amount(leg, view) for leg in self.venue.legs}
        if all(amount == self.amount(leg) for leg, amount in amounts.items()):
            return
        hedged = Leg.LONG in amounts
        self.ledger = replace(
            self.ledger,
            last_known_amt=plain(sum(amounts.values(), ZERO)),
            long_amt=plain(amounts[Leg.LONG]) if hedged else None,
            short_amt=plain(amounts[Leg.SHORT]) if hedged else None,
        )
        self.corrected = True
        for order in self.venue.orders:
            moved = ZERO if order.cause is DriftCause.RECONCILE_CLOSE else self.booked(order)
            self.absorbed[order.order_id] = max(ZERO, order.cumulative(view) - moved)
        for leg, amount in amounts.items():
            self.base[leg] = amount - self._remembered(leg)

    def forget(self, order: Order) -> None:
        """Drop the memory of an order from before the last agreement, as an old one's is."""
        agreed_ms = self._agreed_ms()
        old = bool(agreed_ms) and all(fill.time_ms < agreed_ms for fill in order.fills)
        if old and order.order_id in self.memories and order.cause is not DriftCause.RECONCILE_CLOSE:
            self.base[order.leg] += order.signed(self.booked(order))
            self.absorbed[order.order_id] = self.booked(order) + self.absorbed.get(order.order_id, ZERO)
            del self.memories[order.order_id]
            self._forgotten.add(order.order_id)

    def look(self, *, window_ms: int, restarted: bool) -> None:
        """Compare, look for evidence, weigh it and repair; everything that is read may lag behind."""
        venue, rng = self.venue, self._rng
        view = venue.view(3)
        verified_ms = venue.verified_ms(view)
        found = self.compare(view, verified_ms)
        self._drifted = set() if found is None else {each.leg for each in found.drifted}
        if found is None:
            return
        agreed = None if restarted else self._agreed()
        agreed_ms = 0 if agreed is None else agreed.at_ms
        looked = self._evidence(agreed_ms or venue.now_ms - window_ms, verified_ms)
        if agreed is not None:
            looked = replace(looked, agreed=agreed.legs_before(self.ledger, self.version))
        finding = weigh(found, looked, self.adopted)
        self._count(finding)
        if not isinstance(finding, Explained) or not finding.adopted:
            return
        before = self.ledger, self.version
        if not venue.current and rng.random() < 0.1:
            self._report_just_now()
        repaired = repair(found, before[0], finding.adopted, now_ms=NOW_MS)
        assert isinstance(repaired, Repaired), repaired
        # The script compares all that the repair rests on.
        unchanged = before == (self.ledger, self.version)
        if unchanged and all(
            self.memories.get(name) == looked.memories.get(name) for name in repaired.memories
        ):
            self._store(repaired, finding, view, known=bool(agreed_ms))
            self.blind = self.blind or (self.undone and not agreed_ms)
            if agreed_ms and not self.blind and not (self.corrected and self.undone):
                judge_repair(self, found, looked, view)

    def compare(self, view: int, verified_ms: int) -> Drift | None:
        """Compare the position of a view with the ledger, and record the agreement, or that there is none."""
        rows = self.venue.position(view)
        compared = compare(
            BTC, rows, self.ledger, self.version, (), now_ms=NOW_MS, step=STEP, tolerance_pct=Decimal(1)
        )
        self._record(compared, rows, verified_ms)
        return compared.drift

    def _record(self, compared: Comparison, rows: Iterable[LegPosition], verified_ms: int) -> None:
        self._agreements.view(BTC, self.ledger, self.version, None)
        if not compared.agrees:
            legs = {row.leg: plain(row.amount) for row in rows}
            total = plain(sum((row.amount for row in rows), ZERO))
            exchange = amounts_text(total, legs.get(Leg.LONG), legs.get(Leg.SHORT))
            self._agreements.differ(BTC, self.ledger, self.version, exchange, verified_ms)
            return
        if self.is_in_flight():
            self._agreements.interrupt(BTC)
            return
        at_ms = max([verified_ms, *(row.update_time_ms for row in rows)])
        ledger = self.ledger
        amounts = amounts_text(ledger.last_known_amt or "", ledger.long_amt, ledger.short_amt)
        self._agreements.agree(BTC, Agreed(at_ms, amounts, self.version), self.venue.now_ms / 1000)
        self._seen["agreed"] += 1

    def _agreed(self) -> Agreed | None:
        return self._agreements.latest(BTC, self.ledger, self.version, None)

    def _agreed_ms(self) -> int:
        agreed = self._agreed()
        return 0 if agreed is None else agreed.at_ms

    def is_in_flight(self) -> bool:
        """Return True while an own order's permit covers fills that no result has booked."""
        recent = [each for each in self.venue.orders if self.venue.now_ms < each.placed_ms + PERMIT_MS]
        return any(each.cause in _OURS and self.lacks(each) for each in recent)

    def _report_just_now(self) -> None:
        """Book a result between the reading of evidence and the repair."""
        late = self._rng.choice(self.venue.orders)
        if late.cause in _OURS and late.order_id not in self._forgotten:
            self.report(late, late.cumulative(len(self.venue.fills)))

    def _evidence(self, since_ms: int, verified_ms: int) -> Evidence:
        venue, rng = self.venue, self._rng
        trades = venue.trades(since_ms, venue.view(4))
        complete = venue.current or rng.random() < 0.9
        if not complete:
            trades = trades[: rng.randint(0, len(trades))]
        view = venue.view(4)
        shown = [order.shown(view) for order in venue.shown(view) if venue.current or rng.random() < 0.98]
        return Evidence(
            trades=trades,
            orders={order.order_id: order for order in shown},
            memories=dict(self.memories),
            recorded=frozenset(
                order.client_order_id for order in venue.orders if order.cause is DriftCause.OWN_UNBOOKED
            ),
            closing=frozenset(
                order.client_order_id for order in venue.orders if order.cause is DriftCause.RECONCILE_CLOSE
            ),
            complete=complete,
            since_ms=since_ms,
            verified_ms=verified_ms,
        )

    def _store(self, repaired: Repaired, finding: Explained, view: int, *, known: bool) -> None:
        orders = {order.order_id: order for order in self.venue.orders}
        for growth in finding.adopted:
            order = orders[growth.order_id]
            before = self.booked(order)
            self.memories[growth.order_id] = repaired.memories[growth.order_id]
            # What is remembered beyond the growth was in the ledger before.
            contained = self.booked(order) - before - growth.quantity
            # Without an agreement, what outside trades have undone before the window is not looked for.
            limit = (
                self.booked(order) if self.undone and not known else self.absorbed.get(order.order_id, ZERO)
            )
            assert 0 <= contained <= limit, "a fill would be lost"
            self.absorbed[order.order_id] = ZERO
            if order.cause in _OURS:
                assert self.booked(order) == order.cumulative(view), "not remembered as booked"
            self.base[order.leg] -= order.signed(contained)
        self.ledger, self.version = repaired.ledger, repaired.version
        self._seen["repaired"] += 1

    def is_ours(self, order: Order) -> bool:
        if order.cause is DriftCause.RECONCILE_CLOSE:
            return False
        cause = DriftCause.MANUAL if order.cause is DriftCause.NONE else order.cause
        return cause in _OURS | self.adopted or order.order_id in self.named

    def lacks(self, order: Order) -> bool:
        """Return True if the ledger lacks fills of an order whose result may still come."""
        known = self.booked(order) + self.absorbed.get(order.order_id, ZERO)
        awaited = order.cause is DriftCause.NONE or self.is_ours(order)
        return awaited and known < order.cumulative(len(self.venue.fills))

    def adopted_amount(self, leg: Leg) -> Decimal:
        """The amount of a leg when the ledger was adopted."""
        orders = (order for order in self.venue.orders if order.leg is leg)
        return sum((order.signed(self.contained.get(order.order_id, ZERO)) for order in orders), ZERO)

    def check_repaired(self) -> None:
        """Compare the ledger with all fills of ours, after a look that saw everything.

        Of fills in the very millisecond of the last agreement it cannot be known whether they were in it, nor
        of those in one millisecond whether an order from before the agreement shows all of them.
        """
        if self.corrected or self.blind or self._gap is Gap.ORDER_BEHIND or not self._agreed_ms():
            return
        self._seen["settled"] += 1
        for leg in self._drifted if self.undone else self.venue.legs:
            ours = [order for order in self.venue.orders if order.leg is leg and self.is_ours(order)]
            filled = sum((order.signed(order.cumulative(len(self.venue.fills))) for order in ours), ZERO)
            contained = (
                order.signed(self.contained.get(order.order_id, ZERO))
                for order in self.venue.orders
                if order.leg is leg and not self.is_ours(order)
            )
            assert self.amount(leg) == filled + sum(contained, ZERO), "a proven fill is not booked"

    def check(self) -> None:
        """Compare the ledger with what is remembered, and that with what was filled."""
        for leg in self.venue.legs:
            assert self.amount(leg) == self.base[leg] + self._remembered(leg), "booked twice, or not at all"
        for order in self.venue.orders:
            filled = order.cumulative(len(self.venue.fills))
            assert self.booked(order) <= filled, "more booked than filled"
            if not self.is_ours(order) and order.cause is not DriftCause.RECONCILE_CLOSE:
                assert order.order_id not in self.memories, "booked for another"

    def _remembered(self, leg: Leg) -> Decimal:
        moving = (
            order
            for order in self.venue.orders
            if order.leg is leg and order.cause is not DriftCause.RECONCILE_CLOSE
        )
        return sum((order.signed(self.booked(order)) for order in moving), ZERO)

    def _count(self, finding: Finding) -> None:
        self._gap = None if isinstance(finding, Explained) else finding.gap
        if isinstance(finding, Explained):
            self._seen["explained"] += 1
            self._seen.update(growth.cause.value for growth in (*finding.adopted, *finding.foreign))
            self._seen["two causes"] += bool(finding.adopted and finding.foreign)
        else:
            self._seen[finding.gap or "no sum"] += 1
