"""How this account's positions are read: all in one request, or symbol by symbol where that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from brain.moment import Moment
from brain.positions.position import LegPosition
from channels import LatestValue
from clock import Clock
from exchange.book_read import BookRead
from exchange.errors import ExchangeRejected, UnreadablePosition
from exchange.on_demand_reads import OnDemandReads
from exchange.protocol import Exchange, PositionsRead, Priority
from exchange.read_latency import ReadLatency
from exchange.shared_read import SharedRead

#: A mandatory parameter is missing or empty, or this combination of optional ones is not allowed.
_WANTS_A_SYMBOL = frozenset({-1102, -1105, -1128})


class SeenLegs(NamedTuple):
    """The rows of a symbol's legs, and when they were so at the earliest."""

    legs: tuple[LegPosition, ...]
    at: Moment


class PositionReads:
    """Reads of positions for all that want them, shared where they ask at the same time.

    `P33_FETCH_MODE`: `bulk` reads all in one request. `per_symbol` does so only to find positions that are
    held outside the candidates, at the start and every ten minutes, until that is refused. `auto` is bulk
    until the exchange, or a proxy before it, refuses a read that names no symbol; from then on no read of
    all is sent for the life of the process. Outlives the actors that use it.
    """

    def __init__(
        self,
        exchange: Exchange,
        book_read: BookRead,
        latency: ReadLatency,
        *,
        fetch_mode: str,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._exchange = exchange
        self._book_read = book_read
        self._latency = latency
        self._may_change = fetch_mode == "auto"
        self._survey: SharedRead | None = None
        self._log = log
        self._bulk_refused = LatestValue[bool]("bulk_refused")
        if fetch_mode == "per_symbol":
            self._bulk_refused.send(True)
            self._survey = SharedRead(exchange.positions, clock)
        #: Reads of all positions: in per_symbol mode of all that is kept warm, by way of the book.
        self.all = SharedRead(self._read_all, clock)
        self.on_demand = OnDemandReads(exchange, self.all, lambda: self.one_by_one, clock)

    @property
    def one_by_one(self) -> bool:
        """Whether positions can be read symbol by symbol only."""
        return self._bulk_refused.value is not None

    async def refused(self) -> None:
        """Wait until positions can be read symbol by symbol only."""
        await self._bulk_refused.get()

    async def survey(self, sent_after: Moment) -> PositionsRead | None:
        """All positions by one read although symbols are read one by one; None: refused, now or before.

        Raises as `Exchange` does.
        """
        if self._survey is None:
            return None
        try:
            return await self._survey.read(sent_after)
        except ExchangeRejected as refusal:
            if refusal.code not in _WANTS_A_SYMBOL:
                raise
            self._log.info("No read of all positions: symbols are swept one by one", refusal=str(refusal))
            self._survey = None
            return None

    async def legs_since(self, moment: Moment) -> Mapping[str, SeenLegs]:
        """All positions by symbol, by a read sent at `moment` or later. Raises as `Exchange` does."""
        return _by_symbol(await self.all.read(moment))

    async def legs_of(self, symbol: str, moment: Moment) -> SeenLegs:
        """One symbol's position, in the same way; no legs if the exchange shows none. Raises
        UnreadablePosition.

        In bulk mode it is everybody's request, which costs no more.
        """
        if self.one_by_one:
            read = await self._exchange.positions(symbol, priority=Priority.ON_DEMAND)
        else:
            read = await self.all.read(moment)
        seen = _by_symbol(read).get(symbol, SeenLegs((), read.sent))
        if not seen.legs and (why := read.unreadable.get(symbol, read.unreadable.get(""))) is not None:
            raise UnreadablePosition(f"{symbol}: the exchange's row cannot be read: {why}")
        return seen

    async def _read_all(self, *, priority: Priority) -> PositionsRead:
        if self.one_by_one:
            return await self._book_read.read()
        try:
            read = await self._exchange.positions(priority=priority)
        except ExchangeRejected as refusal:
            if self._may_change and refusal.code in _WANTS_A_SYMBOL:
                self._log.warning("Positions can be read symbol by symbol only", refusal=str(refusal))
                self._bulk_refused.send(True)
            raise
        self._latency.cycle_ms = self._latency.observe(read)
        return read


def _by_symbol(read: PositionsRead) -> dict[str, SeenLegs]:
    legs: dict[str, tuple[LegPosition, ...]] = {}
    for row in read.rows:
        legs[row.symbol] = (*legs.get(row.symbol, ()), row.position)
    return {symbol: SeenLegs(rows, read.sent) for symbol, rows in legs.items()}
