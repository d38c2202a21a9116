"""Invariant (d): a ledger is what was adopted, and every distinct fill of ours that was reported, once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from brain.ledger.adoption import decode_adopted
from brain.ledger.order_memory import decode_memory
from brain.positions.position import Leg
from simulator.history import PositionSide
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.records import Adoption, OrderWrite, ResultCommit
from tests.simulation.books import Books, OrderReport, OwnOrder
from tests.simulation.claims import COMPARED_MS
from tests.simulation.clocks import true_ms
from tests.simulation.field_faults import DATED_AHEAD_MS
from tests.simulation.venue import ZERO, Change, Venue
from tests.simulation.verdicts import require

#: Results of fills from before an adoption come within this.
_LATE_RESULT_MS = 60_000
#: What the service takes for the exchange's clock may be off by this, beside its steps.
_DATED_WITHIN_MS = 500
_FIELDS: dict[PositionSide, bytes] = {"BOTH": b"last_known_amt", "LONG": b"long_amt", "SHORT": b"short_amt"}


class Ledgers:
    """Looks at every ledger in the moment in which it is written."""

    def __init__(self, books: Books, venue: Venue, redis: MemoryRedis, keys: Keys) -> None:
        self.count = 0
        self.dead_letters: list[str] = []
        self._books = books
        self._venue = venue
        self._redis = redis
        self._keys = keys

    def amount(self, symbol: str, leg: PositionSide) -> Decimal | None:
        """Return the ledger's amount; None without one."""
        text = self._redis.hgetall(self._keys.ledger(symbol)).get(_FIELDS[leg])
        return None if text is None else Decimal(text.decode())

    def adopted(self, adoptions: Sequence[Adoption], created: Sequence[str]) -> None:
        """Ledgers have been created."""
        for adoption in adoptions:
            if adoption.symbol in created:
                for leg in self._venue.legs_of(adoption.symbol):
                    amount = self.amount(adoption.symbol, leg)
                    require(amount is not None, "d", f"{adoption.symbol} {leg}: adopted without an amount")
                    held = self._changes_held(adoption.symbol, leg, amount or ZERO)
                    was = held[-1].amount if held else ZERO
                    # A step of the exchange's clock hides when a row without a date was so.
                    stepped = len(self._venue.clock.offsets_since(true_ms() - COMPARED_MS)) > 1
                    says = f"{adoption.symbol} {leg}: adopted {amount}, was {was}"
                    require(amount == was or stepped, "d", says)
                    self._books.kept.ledger[adoption.symbol, leg] = amount or ZERO
                    self._books.kept.contained[adoption.symbol, leg] = len(held)
                    self._books.kept.adopted_ms[adoption.symbol, leg] = true_ms()
                self._books.kept.booked_ms.pop(adoption.symbol, None)

    def booked(self, commit: ResultCommit, booked_ms: int | None) -> None:
        """Judge a result's booking that was offered to Redis."""
        if booked_ms is None:
            return
        self.count += 1
        kept = self._books.kept
        kept.settled.add(commit.plan_id)
        if commit.ledger_fields:
            kept.booked_ms[commit.symbol] = booked_ms
        if commit.dead_fields:
            kept.dead.add(commit.entry_id)
            plan_id, books = commit.plan_id, self._books
            if commit.entry_id not in books.bad_results and plan_id not in books.lost | books.unmarked.keys():
                fields = dict(zip(commit.dead_fields[::2], commit.dead_fields[1::2], strict=True))
                self.dead_letters.append(f"{commit.entry_id}: {fields.get('error')}")
        for write in commit.orders:
            order = self._books.orders.get(write.order_id)
            if order is None:
                continue
            # One that Redis has lost may have been read before.
            report = self._books.published_reports.get(commit.entry_id)
            if report is None and not commit.acknowledge:
                report = self._shown_by_exchange(write, order)
            require(report is not None, "d", f"{commit.entry_id} books what was never published")
            assert report is not None
            cumulative = max(report.cumulative, kept.booked.get(write.order_id, ZERO))
            contained = self._contained(order.symbol, order.leg, write.order_id)
            remembered = decode_memory(write.after).cumulative
            # Of what the adopted ledger contains, more may be known than this result reports.
            require(
                remembered in (cumulative, max(cumulative, contained)),
                "d",
                f"order {write.order_id}: {remembered} remembered of {cumulative}, {contained} adopted",
            )
            growth = cumulative - max(kept.booked.get(write.order_id, ZERO), contained)
            kept.booked[write.order_id] = remembered
            grant = self._books.grants.get(order.plan_id)
            # What it was published as stands in its decision: in the lost one, or in the one made anew.
            distinguishable = order.plan_id not in self._books.lost or order.plan_id in kept.decided
            distinguishable = distinguishable and order.plan_id not in self._books.unmarked
            removes = grant is not None and grant.reconcile and distinguishable
            if self._misdated(order.symbol, order.leg):
                kept.ledger[order.symbol, order.leg] = self.amount(order.symbol, order.leg) or ZERO
            elif growth > 0 and not removes:
                signed = growth if order.side == "BUY" else -growth
                kept.ledger[order.symbol, order.leg] = (
                    kept.ledger.get((order.symbol, order.leg), ZERO) + signed
                )
        if commit.symbol:
            self.compare(commit.symbol)
            self._judge_open_permit(commit)

    def _shown_by_exchange(self, write: OrderWrite, order: OwnOrder) -> OrderReport | None:
        """Return what an event of the exchange reported of an order with an unknown outcome."""
        cumulative = decode_memory(write.after).cumulative
        filled = ZERO
        for change in self._venue.changes[order.symbol, order.leg]:
            if str(change.order_id) == write.order_id:
                filled += abs(change.delta)
                if filled == cumulative and order.plan_id in self._books.unknown:
                    return OrderReport(write.order_id, order.plan_id, cumulative, final=False)
        return None

    def _judge_open_permit(self, commit: ResultCommit) -> None:
        """It ends with its order, and before that covers what may still be executed."""
        stored = self._redis.hgetall(self._keys.open_permits(commit.symbol)).get(
            f"p:{commit.plan_id}".encode()
        )
        report = self._books.kept.reports.get(commit.entry_id)
        ended = report.final if report is not None else commit.entry_id in self._books.given_up
        if ended and commit.entry_id not in self._books.kept.dead:
            require(stored is None, "c", f"{commit.plan_id} is over, and still reserved: {stored!r}")

    def compare(self, symbol: str) -> None:
        """Raises ViolationError unless the symbol's ledger is what it must be."""
        for leg in self._venue.legs_of(symbol) if symbol in self._venue.unannounced else ():
            expected, amount = self._books.kept.ledger.get((symbol, leg)), self.amount(symbol, leg)
            if expected is not None and amount is not None:
                require(amount == expected, "d", f"{symbol} {leg}: the ledger is {amount}, not {expected}")

    def all_is_booked(self) -> None:
        """Raises ViolationError unless every published result has been taken in."""
        most: dict[str, Decimal] = {}
        for entry_id, report in self._books.kept.reports.items():
            if entry_id not in self._books.kept.dead:
                most[report.order_id] = max(most.get(report.order_id, ZERO), report.cumulative)
        for order_id, cumulative in most.items():
            booked = self._books.kept.booked.get(order_id, ZERO)
            # A repair may have booked what no result has reported.
            right = booked == cumulative or (booked > cumulative and order_id in self._books.kept.repaired)
            require(right, "d", f"order {order_id}: {booked} of {cumulative} is booked")

    def _contained(self, symbol: str, leg: PositionSide, order_id: str) -> Decimal:
        """Return how much of an order an adopted ledger contains already."""
        if self._adopted_until_ms(symbol, leg) is None:
            return ZERO
        return self._filled(symbol, leg, order_id, self._books.kept.contained.get((symbol, leg), 0))

    def contained(self, symbol: str, leg: PositionSide, order_id: str) -> Decimal:
        """Return how much of an order the ledger contains by its adoption, or by an operator's correction."""
        corrected = self._books.kept.corrected.get((symbol, leg), 0)
        adopted = self._contained(symbol, leg, order_id)
        return max(adopted, self._filled(symbol, leg, order_id, corrected))

    def _filled(self, symbol: str, leg: PositionSide, order_id: str, changes: int) -> Decimal:
        held = self._venue.changes[symbol, leg][:changes]
        return sum((abs(change.delta) for change in held if str(change.order_id) == order_id), ZERO)

    def _misdated(self, symbol: str, leg: PositionSide) -> bool:
        """Return True where a step of the exchange's clock hides which fills an adopted ledger contains."""
        adopted_ms = self._books.kept.adopted_ms.get((symbol, leg), 0)
        if true_ms() - adopted_ms > _LATE_RESULT_MS:
            return False
        return len(self._venue.clock.offsets_since(adopted_ms - COMPARED_MS)) > 1

    def _changes_held(self, symbol: str, leg: PositionSide, amount: Decimal) -> Sequence[Change]:
        """Return the leg's changes until the one that a ledger just adopted says to contain last."""
        until_ms = self._adopted_until_ms(symbol, leg) or 0
        changes = self._venue.changes[symbol, leg]
        # Dates may go back: so the very change is looked for first.
        for count in range(len(changes), 0, -1):
            if changes[count - 1].transaction_ms == until_ms:
                return changes[:count]
        # A row dated ahead speaks for its own change alone, also once that date has passed.
        for count in range(len(changes), 0, -1):
            change = changes[count - 1]
            if change.amount == amount and until_ms - change.transaction_ms in DATED_AHEAD_MS:
                return changes[:count]
        if until_ms > self._venue.exchange_ms() + _DATED_WITHIN_MS:
            for count in range(len(changes), 0, -1):
                if changes[count - 1].amount == amount:
                    return changes[:count]
        # A row without a date is dated by when it was so, as far as the exchange's clock is known then.
        within_ms = [
            (until_ms - offset - _DATED_WITHIN_MS, until_ms - offset + _DATED_WITHIN_MS)
            for offset in self._venue.clock.offsets_since(true_ms() - COMPARED_MS)
        ]
        for count in range(len(changes), -1, -1):
            from_ms = changes[count - 1].at_ms if count else 0
            to_ms = changes[count].at_ms if count < len(changes) else true_ms()
            was = changes[count - 1].amount if count else ZERO
            if was == amount and any(from_ms <= last and first <= to_ms for first, last in within_ms):
                return changes[:count]
        return [each for each in changes if each.transaction_ms <= until_ms]

    def _adopted_until_ms(self, symbol: str, leg: PositionSide) -> int | None:
        text = self._redis.hgetall(self._keys.ledger(symbol)).get(b"adopted_exchange_ms")
        adopted = decode_adopted(None if text is None else text.decode())
        return None if adopted is None else adopted.changed_ms_of(Leg(leg))
