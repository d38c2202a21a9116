"""The newest execution results by symbol, for decisions that must not rest on a snapshot from before them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
import trio

from brain.identifiers import EntryId, FencingToken, OrderId, PlanId, Symbol
from brain.ledger.reported_fills import ReportedFill, snapshot_contains
from brain.moment import Moment
from brain.positions.position import Leg, Snapshot

_MOST_FILLS = 16
_MOST_SYMBOLS = 5_000
_MOST_ENDED = 20_000


class _SymbolResults(msgspec.Struct):
    """`in_hand`: arrival of the entries that are not finished yet, by id. `fills`: by order id.

    `not_before`: the arrival of the newest result of which no more than that is known. `finished`: how many.
    """

    in_hand: dict[EntryId, Moment]
    fills: dict[OrderId, ReportedFill]
    finished: int = 0
    not_before: Moment | None = None


class ResultBook:
    """A conflating channel that keeps what it delivered: the ledger writer writes it, decisions read it.

    Overflow rule: the oldest fills of a symbol shrink to the moment of their arrival, and so does everything
    where there are too many symbols. That makes a snapshot wait longer to be used, never shorter.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        #: When this process began to book under its present lease; None before.
        self.taken_over_at: Moment | None = None
        #: The id of the newest result that was read.
        self.read_until = EntryId("0-0")
        #: Since when no result is read, because others are being booked; None while the next are waited for.
        self.busy_since: Moment | None = None
        self._symbols: dict[str, _SymbolResults] = {}
        self._ended: dict[PlanId, None] = {}
        self._not_before: Moment | None = None
        self._fence: FencingToken | None = None
        self._readers = trio.lowlevel.ParkingLot()

    @property
    def depth(self) -> int:
        """Return the number of symbols with a result."""
        return len(self._symbols)

    def begin(self, fence: FencingToken, now: Moment) -> None:
        """Begin to book, or begin again: results in hand may have been booked, by us or by others."""
        if fence != self._fence:
            self._fence, self.taken_over_at = fence, now
        for results in self._symbols.values():
            if results.in_hand:
                results.not_before = _later(results.not_before, max(results.in_hand.values()))
                results.in_hand.clear()
        self._readers.unpark_all()

    def read(self, *, busy_since: Moment | None, until: EntryId | None = None) -> None:
        """Record that a read begins, or has ended with results up to the id `until`."""
        self.busy_since = busy_since
        self.read_until = until or self.read_until
        self._readers.unpark_all()

    def arrive(self, symbol: Symbol, entry_id: EntryId, now: Moment) -> None:
        """Record a result of `symbol` that was read and is not finished yet."""
        results = self._symbols.get(symbol)
        if results is None:
            if len(self._symbols) >= _MOST_SYMBOLS:
                self._symbols.clear()
                self._not_before = now
            results = self._symbols[symbol] = _SymbolResults({}, {})
        results.in_hand.setdefault(entry_id, now)
        self._readers.unpark_all()

    def finish(
        self, symbol: Symbol, entry_id: EntryId, fills: Iterable[tuple[OrderId, Decimal]] = ()
    ) -> None:
        """Record that the entry is booked or a dead letter.

        `fills`: each order of which it booked more, and how much in all. An entry that did not arrive here,
        or is finished already, changes nothing.
        """
        results = self._symbols.get(symbol)
        arrived = None if results is None else results.in_hand.pop(entry_id, None)
        if results is None or arrived is None:
            return
        results.finished += 1
        for order_id, cumulative in fills:
            results.fills.pop(order_id, None)
            results.fills[order_id] = ReportedFill(order_id, cumulative, arrived)
        while len(results.fills) > _MOST_FILLS:
            oldest = results.fills.pop(next(iter(results.fills)))
            results.not_before = _later(results.not_before, oldest.arrived)
        self._readers.unpark_all()

    def end(self, plan_id: PlanId) -> None:
        """Record that a result has ended a plan's permit. The oldest of 20,000 plans is dropped."""
        self._ended[plan_id] = None
        if len(self._ended) > _MOST_ENDED:
            del self._ended[next(iter(self._ended))]

    def has_ended(self, plan_id: PlanId) -> bool:
        """Return True if a result has ended what the plan's permit covers, as far as is remembered."""
        return plan_id in self._ended

    def date(self, symbol: Symbol, order_id: OrderId, leg: Leg, cumulative: Decimal, filled_ms: int) -> None:
        """Record that the stream has shown `cumulative` filled on `leg` by `filled_ms` (exchange's clock)."""
        results = self._symbols.get(symbol)
        fill = None if results is None else results.fills.get(order_id)
        if results is None or fill is None or fill.filled_ms is not None or cumulative < fill.cumulative:
            return
        results.fills[order_id] = msgspec.structs.replace(fill, leg=leg, filled_ms=filled_ms)
        self._readers.unpark_all()

    def concerns(self, symbol: str) -> bool:
        """Return False if no result has arrived that a snapshot of the symbol could lack."""
        return symbol in self._symbols or self._not_before is not None

    def all_in(self, snapshot: Snapshot) -> bool:
        """Return True if the snapshot is proven to contain the fills of all its symbol's arrived results."""
        verified_at, not_before = snapshot.verified_at, self._not_before
        if not_before is not None and verified_at < not_before:
            return False
        results = self._symbols.get(snapshot.symbol)
        if results is None:
            return True
        if results.not_before is not None and verified_at < results.not_before:
            return False
        if any(verified_at < arrived for arrived in results.in_hand.values()):
            return False
        return all(snapshot_contains(snapshot, fill) for fill in results.fills.values())

    def hangs(self, now: Moment, after_sec: float) -> bool:
        """Return True if results have been booked for longer than `after_sec` without the next being read."""
        return self.busy_since is not None and self.busy_since.age_sec(now) > after_sec

    def finished(self, symbol: str) -> int:
        """Count the finished results of `symbol`: what Redis holds of it has changed since it was less."""
        results = self._symbols.get(symbol)
        return 0 if results is None else results.finished

    def latest(self, symbol: str) -> Moment | None:
        """Return the moment from which on a read contains all known fills of `symbol`; None: any does."""
        moments = [self.taken_over_at, self._not_before]
        if (results := self._symbols.get(symbol)) is not None:
            moments += [results.not_before, *results.in_hand.values()]
            moments += [fill.arrived for fill in results.fills.values()]
        return max((moment for moment in moments if moment is not None), default=None)

    def unfinished(self, symbol: str, now: Moment, within_sec: float) -> bool:
        """Return True if a result of `symbol` that arrived in the last `within_sec` is not finished yet."""
        results = self._symbols.get(symbol)
        if results is None:
            return False
        return any(arrived.age_sec(now) <= within_sec for arrived in results.in_hand.values())

    async def changed(self) -> None:
        """Wait until a result arrives, is finished or is dated."""
        await self._readers.park()


def _later(known: Moment | None, other: Moment) -> Moment:
    return other if known is None else max(known, other)
