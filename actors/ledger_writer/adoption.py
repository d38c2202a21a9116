"""Adopts a ledger for every symbol, once: 0 where it is first seen flat, else the exchange's amount."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from actors.waiting import EXCHANGE_PAUSE_SEC, exchange_answer
from brain.identifiers import FencingToken, Symbol
from brain.ledger.adoption import adopted_state, encode_adopted
from brain.ledger.booking import adopt
from brain.ledger.ledger import LEDGER_TTL_MS
from brain.numbers import NotANumberError, parse_decimal
from brain.positions.position import LegPosition
from brain.symbols.symbol_rules import SymbolRules
from channels import (
    Conflating,
    DropOldest,
    LatestValue,
    LedgerWanted,
    MetricEvent,
    PushBack,
    SetGauge,
    SnapshotBook,
)
from clocks.clocks import Clocks
from exchange.errors import UnreadablePosition
from exchange.position_reads import PositionReads, SeenLegs
from store.protocol import ResultStore
from store.records import Adoption
from supervision import Heartbeat

T = TypeVar("T")

_MOST_READS = 3
_RENEWAL_SEC = 30.0


class LedgerAdoption:
    """Part of the ledger writer: holds the stored ledgers, and adopts the missing ones.

    A ledger that differs from the exchange stays as it is, and is kept from expiring: a mismatch must not
    disappear by itself. Only a missing ledger is adopted.
    """

    def __init__(
        self,
        store: ResultStore,
        book: SnapshotBook,
        positions: PositionReads,
        wanted: PushBack[LedgerWanted],
        *,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        stale_threshold_sec: float,
        metrics: DropOldest[MetricEvent],
        clocks: Clocks,
        log: FilteringBoundLogger,
        moved: Conflating[Symbol] | None = None,
    ) -> None:
        """`moved`: is sent the symbol of each ledger whose amount changes, None where nothing reads it."""
        self._store = store
        self._book = book
        self._positions = positions
        self._wanted = wanted
        self._symbol_rules = symbol_rules
        self._stale_threshold_sec = stale_threshold_sec
        self._metrics = metrics
        self._clocks = clocks
        self._log = log
        self._moved = moved
        self._amounts: dict[str, str] = {}
        #: The last amounts of the ledgers that are gone from Redis.
        self._vanished: dict[str, str] = {}
        self._renewal_due_sec = -math.inf

    async def adopt_all(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Adopt the missing ledgers of the account's symbols, once each has a snapshot.

        A standby that takes over has all snapshots, and does not ask the exchange again.
        """
        tradable = [symbol for symbol, rules in (self._symbol_rules.value or {}).items() if rules.trading]
        if tradable and all(self._book.get(symbol) is not None for symbol in tradable):
            await self.adopt_new(self._book.symbols(), fence)
            return
        begun = self._clocks.now()
        rows = await _positions(partial(self._positions.legs_since, begun), heartbeat)
        for symbol in rows:
            while self._book.get(symbol) is None:
                with heartbeat.waiting_for(f"the first snapshot of {symbol}"):
                    await self._book.changed()
        await self._create(rows, fence)

    async def adopt_new(self, symbols: Iterable[str], fence: FencingToken) -> None:
        """Adopt ledgers for those of `symbols` without one, where the snapshot is fresh."""
        now = self._clocks.now()
        seen: dict[str, SeenLegs] = {}
        for symbol in symbols:
            snapshot = None if symbol in self._amounts else self._book.get(symbol)
            if snapshot is None or not self._book.is_trusted(snapshot):
                continue
            if snapshot.verified_at.age_sec(now) <= self._stale_threshold_sec:
                seen[symbol] = SeenLegs(snapshot.legs, snapshot.verified_at)
        await self._create(seen, fence)

    async def serve(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Adopt ledgers that decisions have found missing, while their plans wait. Until cancelled."""
        with heartbeat.task() as task:
            while True:
                with task.idle():
                    wanted = await self._wanted.receive()
                self._vanish(wanted.symbol)
                await self.adopt_new((wanted.symbol,), fence)
                with wanted.reply:
                    try:
                        wanted.reply.send_nowait(wanted.symbol in self._amounts)
                    except trio.BrokenResourceError:
                        self._log.debug("The plan no longer waits for its ledger", symbol=wanted.symbol)

    async def adopt_for(self, symbol: str, fence: FencingToken, heartbeat: Heartbeat) -> bool:
        """Create the ledger that a result needs, from a read that is sent after the result came.

        Return True if the read's amount was adopted: it contains what the result reports. A symbol that the
        exchange does not show begins flat, and the result moves it. Raises UnreadablePosition after three
        unreadable reads in a row, so that other results do not wait longer.
        """
        seen = SeenLegs((), self._clocks.now())
        for tries_left in reversed(range(_MOST_READS if self._may_hold(symbol) else 0)):
            begun = self._clocks.now()
            try:
                seen = await _positions(partial(self._positions.legs_of, symbol, begun), heartbeat)
                break
            except UnreadablePosition as error:
                if not tries_left:
                    raise
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep(EXCHANGE_PAUSE_SEC)
        created = await self._create({symbol: seen}, fence)
        return bool(seen.legs) and symbol in created

    def fresh_legs(self, symbol: str) -> tuple[LegPosition, ...]:
        """Return the positions of the symbol's legs if they are fresh enough for a decision, else none."""
        snapshot = self._book.get(symbol)
        if snapshot is None or not self._book.is_trusted(snapshot):
            return ()
        fresh = snapshot.verified_at.age_sec(self._clocks.now()) <= self._stale_threshold_sec
        return snapshot.legs if fresh else ()

    async def upkeep(self, fence: FencingToken) -> None:
        """Replace lost ledgers, note corrected ones, and renew those whose position or ledger is not flat."""
        symbols = self._book.symbols()
        stored = await self._store.ledger_amounts(symbols)
        corrected = [symbol for symbol, amount in stored.items() if self._amounts.get(symbol) != amount]
        held: list[str] = []
        now_sec = self._clocks.now().monotonic_sec
        if now_sec >= self._renewal_due_sec:
            self._renewal_due_sec = now_sec + _RENEWAL_SEC
            held = [
                symbol for symbol in symbols if stored.get(symbol, "0") != "0" or self._book.holds(symbol)
            ]
        if renewed := list(dict.fromkeys((*corrected, *held))):
            await self._store.renew_ledgers(fence, renewed, LEDGER_TTL_MS)
        missing = [symbol for symbol in symbols if symbol not in stored]
        for symbol in missing:
            self._vanish(symbol)
        self._note(stored)
        await self.adopt_new(missing, fence)

    def label(self, symbol: str) -> str:
        """Return the symbol's metric label: the symbol if it is one of the exchange, else `other`."""
        known = symbol in (self._symbol_rules.value or {}) or self._book.get(symbol) is not None
        return symbol if known else "other"

    def booked(self, amounts: Mapping[str, str]) -> None:
        """Note the amounts of ledgers after bookings."""
        self._note(amounts)

    async def _create(self, seen: Mapping[str, SeenLegs], fence: FencingToken) -> list[str]:
        """Create the missing ledgers, and return their symbols; one with a position is an event."""
        created: list[str] = []
        if not seen:
            return created
        stored = await self._store.ledger_amounts(list(seen))
        missing = [symbol for symbol in seen if symbol not in stored]
        if missing:
            now_ms = await self._clocks.ask_redis(self._store)
            adoptions = [
                _adoption(
                    symbol, seen[symbol].legs, now_ms, self._clocks.exchange_ms_at_least(seen[symbol].at)
                )
                for symbol in missing
            ]
            created = await self._store.adopt_ledgers(fence, adoptions, LEDGER_TTL_MS)
            for symbol in created:
                if (before := self._vanished.pop(symbol, None)) is not None:
                    self._log.warning(f"{symbol}: Ledger was gone from Redis, adopted again", before=before)
                elif any(row.amount for row in seen[symbol].legs):
                    self._log.info(f"{symbol}: Ledger adopted from the exchange")
            stored = await self._store.ledger_amounts(list(seen))
        self._note(stored)
        return created

    def _may_hold(self, symbol: str) -> bool:
        """Return True if the symbol is worth a read: a result may hold any text as its symbol."""
        return self._symbol_rules.value is None or self.label(symbol) == symbol

    def _vanish(self, symbol: str) -> None:
        """Note that a ledger is gone from Redis: evicted, expired or deleted."""
        amount = self._amounts.pop(symbol, None)
        if amount is not None:
            self._vanished[symbol] = amount

    def _note(self, stored: Mapping[str, str]) -> None:
        for symbol, text in stored.items():
            if self._amounts.get(symbol) == text:
                continue
            self._amounts[symbol] = text
            if self._moved is not None:
                self._moved.send(Symbol(symbol))
            try:
                amount = parse_decimal(text)
            except NotANumberError:
                self._log.warning(f"{symbol}: Ledger is unreadable", stored=text[:40])
            else:
                if self.label(symbol) == symbol:
                    self._metrics.send(SetGauge("p33_ledger_amt", float(amount), (symbol,)))


async def _positions(ask: Callable[[], Awaitable[T]], heartbeat: Heartbeat) -> T:
    return await exchange_answer(ask, "the exchange's positions", heartbeat, passing=UnreadablePosition)


def _adoption(symbol: str, legs: tuple[LegPosition, ...], now_ms: int, seen_ms: int) -> Adoption:
    """Build an adoption. `now_ms`: Redis's clock. `seen_ms`: the legs' time on the exchange's clock."""
    fields = adopt(legs, now_sec=Decimal(now_ms).scaleb(-3)) | {
        "adopted_exchange_ms": encode_adopted(adopted_state(legs, seen_ms)),
        "adopted_at_ms": str(now_ms),
    }
    event: tuple[str, ...] = ()
    if any(row.amount for row in legs):
        event = (
            "event", "LEDGER_ADOPTED",
            "symbol", symbol,
            "ledger_amt", fields["last_known_amt"],
            "adopted_exchange_ms", fields["adopted_exchange_ms"],
            "timestamp", fields["last_update_ts"],
        )  # fmt: skip
    return Adoption(symbol, tuple(text for pair in fields.items() for text in pair), event)
