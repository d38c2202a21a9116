"""Comparison of the snapshot book's positions with the ledgers in Redis, and the moments of their agreement.

A position is compared if it is trusted, fresh, and contains the fills of all results that have arrived. Its
amounts are taken after the ledger was read: what was filled in between is covered by open permits, which are
read with the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import cast

import msgspec
import trio

from actors.reconcile_engine.agreements import SeenAgreements
from actors.reconcile_engine.expected_ledgers import ExpectedLedgers
from actors.reconcile_engine.orders_in_flight import may_be_in_flight, open_permits
from brain.identifiers import Symbol
from brain.moment import Moment
from brain.positions.position import LegPosition, Snapshot
from brain.reconciliation.comparing import Comparison, compare
from brain.reconciliation.rules import ReconcileRules
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, ResultBook, SnapshotBook
from clocks.clocks import Clocks
from store.reconcile_protocol import ReconcileStore
from store.reconcile_records import ExpectedLedger, ReconcileView

#: Less than 1 ms of work between checkpoints.
_SYMBOLS_AT_A_TIME, _STILL_AT_A_TIME = 50, 400
#: So many symbols are read in full each cadence, in turn: their holds, and the versions of their ledgers.
_SWEPT = 32
#: Trades from so long before the first sight of a drift are evidence at most (ms).
_LONGEST_SEARCH_MS = 6 * 86_400_000


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol as Redis holds it, and its position.

    `comparison` is None while the position is not believed, which it is not for `unseen_sec`. `legs`: those
    compared, else the last known; None where it was never read. `verified_ms`: the position contains every
    trade until then (the exchange's clock), 0 while unknown. `asked_sec`: before Redis was read (trio's
    clock).
    """

    symbol: Symbol
    view: ReconcileView
    asked_sec: float
    comparison: Comparison | None
    legs: tuple[LegPosition, ...] | None
    verified_ms: int = 0
    unseen_sec: float = 0.0


class PositionComparison:
    """Compares symbols, and records the moments at which both sides agree."""

    def __init__(
        self,
        store: ReconcileStore,
        book: SnapshotBook,
        results: ResultBook,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        rules: ReconcileRules,
        *,
        only: frozenset[Symbol],
        clocks: Clocks,
    ) -> None:
        """`only`: the symbols that are compared, empty for all."""
        self._store = store
        self._book = book
        self._results = results
        self._symbol_rules = symbol_rules
        self._rules = rules
        self._only = only
        self._clocks = clocks
        self.agreements = SeenAgreements(rules.settle_sec)
        self._expected: dict[Symbol, ExpectedLedger] = {}
        self._ledgers = ExpectedLedgers()
        #: When a symbol's position was last believed (trio's clock).
        self._believed_sec: dict[Symbol, float] = {}
        self._begun_sec = trio.current_time()
        self._swept = 0

    @property
    def compared(self) -> int:
        """Number of symbols whose position was compared last time."""
        return len(self._expected)

    def symbols(self) -> list[Symbol]:
        """Return the symbols of the exchange and of the book, or those of them that the settings name."""
        return self.compared_of(self.names())

    def compared_of(self, symbols: Iterable[Symbol]) -> list[Symbol]:
        """Return those of `symbols` that the settings do not leave out."""
        return [symbol for symbol in symbols if not self._only or symbol in self._only]

    def names(self) -> list[Symbol]:
        """Return the symbols of the exchange and of the book, whatever the settings name."""
        names = dict.fromkeys((*(self._symbol_rules.value or {}), *self._book.symbols()))
        return cast("list[Symbol]", list(names))

    def is_listed(self, symbol: Symbol) -> bool:
        """Return False for a symbol that the exchange does not list any more."""
        return symbol in (self._symbol_rules.value or {})

    def moved(self, symbols: Iterable[str]) -> list[Symbol]:
        """Return those of `symbols` whose position has other amounts than the ones compared last."""
        found: list[Symbol] = []
        for name in symbols:
            symbol, entry = Symbol(name), self._book.entry(name)
            known = self._expected.get(symbol)
            if entry is not None and (
                known is None or self._ledgers.of(symbol, entry.snapshot.legs) != known
            ):
                found.append(symbol)
        return found

    def drop(self) -> None:
        """Forget what Redis holds: it may be another one, or have lost writes."""
        self.agreements.drop()
        self._begun_sec = trio.current_time()
        self._believed_sec.clear()

    def since_ms(self, compared: Compared, first_seen_ms: int) -> int:
        """Return the moment from which on trades are evidence (the exchange's clock, ms).

        That is the latest agreement, or the ledger's adoption. Without an agreement nothing older than the
        window before `first_seen_ms`, the first sight of the drift, is: a correction by hand leaves no trace.
        """
        view = compared.view
        agreed = self.agreements.latest(compared.symbol, view)
        agreed_ms = 0 if agreed is None else agreed.at_ms
        longest_ms = _LONGEST_SEARCH_MS if agreed_ms else round(self._rules.evidence_window_sec * 1000)
        return max(agreed_ms, self._behind_adoption_ms(view), first_seen_ms - longest_ms)

    def _behind_adoption_ms(self, view: ReconcileView) -> int:
        """Return the moment from which on an adopted ledger contains no trade; 0 for unknown.

        The last change of a leg may be dated ahead of the exchange's clock. Then the clock of the adoption
        counts, at least, as for results (`brain.ledger.adoption.Contained`).
        """
        if not view.adopted_ms:
            return 0
        now = self._clocks.now()
        age_ms = self._clocks.redis_now_ms() - view.adopted_at_ms if view.adopted_at_ms else 0
        latest_ms = self._clocks.exchange.latest_date_ms(now)
        if latest_ms is None or view.adopted_ms <= latest_ms - age_ms:
            return view.adopted_ms + 1
        return self._clocks.exchange_ms_at_least(now) - age_ms if view.adopted_at_ms else 0

    async def compare_all(self, besides: Collection[Symbol]) -> list[Compared]:
        """Compare all symbols; return those that differ, those in `besides`, and some others in turn."""
        symbols = self.symbols()
        end = self._swept + _SWEPT
        turn, self._swept = symbols[self._swept : end], end if end < len(symbols) else 0
        return await self.compare(symbols, [*besides, *turn])

    async def compare(self, symbols: Collection[Symbol], in_full: Collection[Symbol]) -> list[Compared]:
        """Compare symbols; return those that differ, and those of `in_full`. Raises as the store does."""
        asked = list(dict.fromkeys((*symbols, *in_full)))
        still = await self._still(asked)
        believed, unseen = await self._believed_of([symbol for symbol in asked if symbol not in still])
        expected = {symbol: self._ledgers.of(symbol, each.legs) for symbol, (each, _) in believed.items()}
        zero = {symbol: ExpectedLedger(symbol, "0", None, None) for symbol in unseen}
        # In the order of the symbols: what is sent at rest is the same each time.
        found = (still.get(symbol) or expected.get(symbol) or zero.get(symbol) for symbol in asked)
        ledgers = await self._store.differing_ledgers([each for each in found if each is not None])
        differing = dict.fromkeys(ledgers.differing)
        apart = {*differing, *ledgers.in_flight}
        for symbol, each in expected.items():
            if each != self._expected.get(symbol):
                self.agreements.forget_version(symbol)
            self._expected[symbol] = each
            if symbol not in apart:
                self.agreements.seen(each, believed[symbol][1])
        for symbol in ledgers.in_flight:
            self.agreements.interrupt(symbol)
        held = [symbol for symbol in unseen if self._book.holds(symbol)]
        again = [symbol for symbol in self.agreements.apart() if symbol in expected]
        wanted = [*dict.fromkeys((*differing, *held, *again, *in_full))]
        asked_sec = trio.current_time()
        views = await self._store.reconcile_views(wanted) if wanted else {}
        return [self._compared(symbol, view, asked_sec) for symbol, view in views.items()]

    async def again(self, symbol: Symbol) -> Compared | None:
        """Compare one symbol anew. Raises as the store does."""
        asked_sec = trio.current_time()
        views = await self._store.reconcile_views([symbol])
        return self._compared(symbol, views[symbol], asked_sec) if symbol in views else None

    def step_of(self, symbol: Symbol) -> SymbolRules | None:
        """Return the symbol's quantity rules, None where they are not known."""
        return (self._symbol_rules.value or {}).get(symbol)

    def comparison_of(self, symbol: Symbol, legs: tuple[LegPosition, ...], view: ReconcileView) -> Comparison:
        """Compare a position with a ledger and open permits as stored."""
        step = self.step_of(symbol)
        return compare(
            symbol,
            legs,
            view.ledger,
            view.version,
            tuple(open_permits(view)),
            now_ms=self._clocks.redis_now_ms(),
            step=None if step is None or step.market_step <= 0 else step.market_step,
            tolerance_pct=self._rules.tolerance_pct,
        )

    def is_in_flight(self, compared: Compared) -> bool:
        """Return True if there is no drift because open permits explain the difference."""
        comparison, view = compared.comparison, compared.view
        if comparison is None or comparison.drift is not None or comparison.agrees or not view.permits:
            return False
        alone = self.comparison_of(compared.symbol, compared.legs or (), view._replace(permits={}))
        return alone.drift is not None

    def _compared(self, symbol: Symbol, view: ReconcileView, asked_sec: float) -> Compared:
        self.agreements.viewed(symbol, view)
        snapshot = self._believed(symbol)
        if snapshot is None:
            last = self._book.get(symbol)
            believed_sec = self._believed_sec.get(symbol, self._begun_sec)
            return Compared(
                symbol=symbol,
                view=view,
                asked_sec=asked_sec,
                comparison=None,
                legs=None if last is None else last.legs,
                unseen_sec=trio.current_time() - believed_sec,
            )
        comparison = self.comparison_of(symbol, snapshot.legs, view)
        expected, at_ms = self._ledgers.of(symbol, snapshot.legs), self._agreed_ms(snapshot)
        if not comparison.agrees:
            self.agreements.differ(expected, at_ms, view)
        else:
            in_flight = may_be_in_flight(view, self._clocks.redis_now_ms())
            read = self.agreements.read_in_flight if in_flight else self.agreements.read
            read(expected, at_ms, view.version)
        return Compared(
            symbol=symbol,
            view=view,
            asked_sec=asked_sec,
            comparison=comparison,
            legs=snapshot.legs,
            verified_ms=self._known_ms(snapshot, snapshot.verified_at),
        )

    async def _still(self, symbols: Collection[Symbol]) -> dict[Symbol, ExpectedLedger]:
        """Return the ledgers of symbols that are believed and as they were compared last, and at rest.

        If Redis has them still, comparing them in whole would change nothing.
        """
        found: dict[Symbol, ExpectedLedger] = {}
        book, good = self._book, None  # the verification of a believed snapshot
        for number, symbol in enumerate(symbols):
            if number % _STILL_AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
                good = None
            known, entry = self.agreements.at_rest(symbol), book.entry(symbol)
            if known is None or entry is None or self._ledgers.of(symbol, entry.snapshot.legs) is not known:
                continue
            verified_at, _ = book.verification(entry)
            # Most symbols share the moment of the latest proof.
            believed = verified_at is good and not entry.disputed and not self._results.concerns(symbol)
            if not believed and self._believed(symbol) is None:
                continue
            good = verified_at
            found[symbol] = known
            self._believed_sec[symbol] = trio.current_time()
        return found

    async def _believed_of(
        self, symbols: Collection[Symbol]
    ) -> tuple[dict[Symbol, tuple[Snapshot, int]], list[Symbol]]:
        """Return the believed snapshots, and the symbols that had none for as long as matters.

        With each snapshot comes the moment of the agreement that it makes with an equal ledger.
        """
        found: dict[Symbol, tuple[Snapshot, int]] = {}
        unseen: list[Symbol] = []
        for number, symbol in enumerate(symbols):
            if number % _SYMBOLS_AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
            now_sec, snapshot = trio.current_time(), self._believed(symbol)
            if snapshot is not None:
                found[symbol] = snapshot, self._agreed_ms(snapshot)
                self._believed_sec[symbol] = now_sec
                continue
            last_sec = self._believed_sec.get(symbol, self._begun_sec)
            if now_sec - last_sec >= self._rules.exchange_freshness_sec:
                unseen.append(symbol)
        return found, unseen

    def _believed(self, symbol: Symbol) -> Snapshot | None:
        snapshot = self._book.get(symbol)
        if snapshot is None or not self._book.is_trusted(snapshot):
            return None
        if snapshot.verified_at.age_sec(self._clocks.now()) > self._rules.exchange_freshness_sec:
            return None
        return snapshot if self._results.all_in(snapshot) else None

    def _agreed_ms(self, snapshot: Snapshot) -> int:
        """Return the moment until which a ledger that agrees with the newest snapshot contains every trade.

        A proof by the stream does not count: it is of a position without the fills whose events were lost.
        A push counts from its own time on: others may be under way when it arrives.
        """
        read_at = self._book.read_at(snapshot.symbol)
        return self._known_ms(snapshot, None if read_at is None else min(read_at, snapshot.verified_at))

    def _known_ms(self, snapshot: Snapshot, at: Moment | None) -> int:
        """Return the least that the exchange's clock showed when the position was as it is at `at`."""
        changed_ms = max((row.update_time_ms for row in snapshot.legs), default=0)
        lead_ms = None if at is None else self._clocks.exchange.at_least_ms(at)
        return changed_ms if at is None or lead_ms is None else max(changed_ms, at.wall_ms + lead_ms)
