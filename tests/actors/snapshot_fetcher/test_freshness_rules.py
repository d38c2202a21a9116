"""The rules of freshness, over all that can arrive, in each state of the stream.

Each cell names the rule that answers a row and what is left to decide on:

* `new`, `old`: the row's amount, or the known one, is published and trusted;
* `fresh`: the known one, as of the read that confirms it;
* `none`: nothing of the symbol is trusted until a later read;
* `lost`, in addition: trust in the stream ends within a second and a bit (rule 15), for all symbols.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
import trio

from actors.snapshot_fetcher.positions import ShardPositions
from brain.moment import Moment
from brain.positions.merging import EVENT_IN_FLIGHT_SEC
from brain.positions.position import Leg, LegPosition
from brain.positions.symbol_state import Rule
from channels import PositionObserved, StreamConnected, StreamLost, StreamProven
from exchange.protocol import PositionRow, PositionsRead
from tests.actors.fetcher_rig import FetcherRig
from tests.virtual_time import virtual_time

pytestmark = virtual_time

BTC, ETH = "BTCUSDT", "ETHUSDT"
STREAMS = ("proven", "connected", "lost")
MODES = {"one-way": (Leg.BOTH,), "hedge": (Leg.LONG, Leg.SHORT)}
READS = ("bulk read", "single read", "audit")

#: By row: the rule (`-`: none for rows) and what is left where the stream is proven, connected, lost.
#: Rows are newer or older than the known one; `in flight`: within a second after that arrived.
PUSHES = {
    "newer": ("2 new", "2 new", "2 none"),
    "same": ("3 old", "3 old", "3 none"),
    "older": ("5 none", "5 none", "5 none"),
    "older, in flight": ("4 old", "4 old", "4 none"),
    "ahead of time": ("5 none", "5 none", "5 none"),
    "other amount": ("2 new", "2 new", "2 none"),
    "missing row": ("- old", "- old", "- none"),
    "unreadable row": ("- none", "- none", "- none"),
}
ROWS_READ = {
    "newer": ("2 new lost", "2 new", "2 new"),
    "same": ("3 fresh", "3 fresh", "3 fresh"),
    "older": ("6 none lost", "6 none", "6 none"),
    "older, in flight": ("4 old", "4 old", "4 none"),
    "ahead of time": ("2 old lost", "2 old", "2 none"),
    "other amount": ("2 new lost", "2 new", "2 new"),
    "missing row": ("8 none", "8 none", "8 none"),
    "unreadable row": ("8 none", "8 none", "8 none"),
}


def cells() -> Iterator[tuple[str, str, str, str, str]]:
    """Everything that can arrive, with the rule and the outcome that the tables above name."""
    for source in ("push", *READS):
        for row, outcomes in (PUSHES if source == "push" else ROWS_READ).items():
            for stream, expected in zip(STREAMS, outcomes, strict=True):
                for mode in MODES:
                    yield source, row, stream, mode, expected


class Cell:
    """One shard with a known position of two symbols, 10 s after its start."""

    def __init__(self, stream: str, mode: str) -> None:
        self.rig = FetcherRig()
        self.known: ShardPositions
        self.known, _ = self.rig.positions_of()
        self.start = self.rig.clock.now()
        self.legs = MODES[mode]
        self.stream = stream
        self.dates_ms = dict.fromkeys((BTC, ETH), -9_000)

    def at(self, ms: int) -> Moment:
        """Milliseconds after the start, at which host and exchange agree."""
        return Moment(self.start.monotonic_sec + ms / 1000, self.start.wall_ms + ms)

    def row(self, symbol: str, leg: Leg, amount: str, date_ms: int) -> PositionRow:
        sign = -1 if leg is Leg.SHORT else 1
        position = LegPosition(leg, sign * Decimal(amount), Decimal(100), self.at(date_ms).wall_ms)
        return PositionRow(symbol, position, Decimal(20), Decimal(101), self.at(date_ms).wall_ms)

    def rows(self, symbol: str, amount: str, date_ms: int) -> tuple[PositionRow, ...]:
        """All legs: the first one as given, the other as it is known."""
        first, *rest = self.legs
        others = (self.row(symbol, leg, "1", -9_000) for leg in rest)
        return (self.row(symbol, first, amount, date_ms), *others)

    def set_up(self, *, in_flight_of: str | None) -> None:
        """Read at the start, prove until 9.4 s; then a read or a push (`in_flight_of`) changes BTC to 2."""
        self.known.take_in([StreamConnected(1, self.at(500))])
        self.read(
            (*self.rows(BTC, "1", -9_000), *self.rows(ETH, "1", -9_000)), sent_ms=1_000, received_ms=1_300
        )
        if self.stream != "connected":
            self.known.take_in([StreamProven(1, self.at(9_400))])
        if in_flight_of == "read":
            self.read(self.rows(BTC, "2", 9_450), sent_ms=9_460, received_ms=9_500)
        elif in_flight_of == "push":
            self.push("2", 9_450, 9_500)
        if self.stream == "lost":
            self.rig.book.lose_trust(self.at(9_800))
            self.known.take_in([StreamLost(1, self.at(9_800), "test")])

    def push(self, amount: str, date_ms: int, received_ms: int) -> None:
        position = self.row(BTC, self.legs[0], amount, date_ms).position
        self.known.take_in([PositionObserved(BTC, position, self.at(received_ms))])

    def read(
        self,
        rows: tuple[PositionRow, ...],
        *,
        sent_ms: int,
        received_ms: int,
        unreadable: str | None = None,
        single: bool = False,
    ) -> None:
        reasons = {} if unreadable is None else {unreadable: "positionAmt is null"}
        read = PositionsRead(rows, self.at(sent_ms), self.at(received_ms), reasons)
        self.known.apply_read(read)
        self.known.apply_absence({row.symbol for row in rows}, read, BTC if single and not rows else None)

    def outcome(self, symbol: str, sent_ms: int) -> str:
        snapshot = self.rig.book.get(symbol)
        if snapshot is None or not self.rig.book.is_trusted(snapshot):
            return "none"
        if snapshot.amount_of(self.legs[0]) != self.held:
            return "new"
        return "fresh" if snapshot.verified_at == self.at(sent_ms) else "old"

    held = Decimal(1)


@pytest.mark.parametrize(("source", "row", "stream", "mode", "expected"), list(cells()))
async def test_each_row_is_answered_by_the_rule_that_the_table_names(
    source: str, row: str, stream: str, mode: str, expected: str
) -> None:
    await trio.sleep(11)
    cell = Cell(stream, mode)
    cell.start = cell.rig.clock.now().earlier_by(10.3)
    in_flight = row == "older, in flight"
    cell.set_up(in_flight_of=("read" if source == "push" else "push") if in_flight else None)
    held_ms = -9_000
    if in_flight:
        cell.held = Decimal(2)
    known = cell.known.state_of(BTC).leg(cell.legs[0])
    assert known is not None
    date_ms, amount = {
        "newer": (9_900, "5"),
        "same": (held_ms, "1"),
        "older": (held_ms - 1_000, "5"),
        "older, in flight": (9_440 if source == "push" else held_ms, "5"),
        "ahead of time": (60_000, "5"),
        "other amount": (held_ms, "5"),
    }.get(row, (0, "0"))
    lost_before = cell.rig.book.trust_lost_at
    sent_ms = 10_000
    if source == "push":
        if row == "unreadable row":
            # The connection ends with it; what the shard gets is the loss.
            cell.rig.book.lose_trust(cell.at(10_300))
            cell.known.take_in([StreamLost(1, cell.at(10_300), "an unreadable event")])
            lost_before = cell.rig.book.trust_lost_at
        elif row != "missing row":
            cell.push(amount, date_ms, 10_300)
    else:
        shown = () if row in ("missing row", "unreadable row") else cell.rows(BTC, amount, date_ms)
        others = () if source == "single read" else cell.rows(ETH, "1", -9_000)
        cell.read(
            (*shown, *others),
            sent_ms=sent_ms,
            received_ms=10_300,
            unreadable=BTC if row == "unreadable row" else None,
            single=source == "single read",
        )
    rule, outcome, *lost = expected.split()
    left = cell.known.state_of(BTC).leg(cell.legs[0])
    assert left is not None
    answered = Rule.NOT_SHOWN if cell.known.state_of(BTC).not_shown_at is not None else left.rule
    assert answered == (known.rule if rule == "-" else int(rule))
    assert cell.outcome(BTC, sent_ms) == outcome
    assert ((BTC in cell.rig.book.unreadable) is (row == "unreadable row")) or source == "push"
    if in_flight and source == "push":
        # Behind the push that was late, the one of what the read has shown.
        cell.push("2", 9_450, 10_310)
    with trio.move_on_after(EVENT_IN_FLIGHT_SEC + 0.2):
        await cell.known.judge_discrepancies()
    assert (cell.rig.book.trust_lost_at != lost_before) is bool(lost)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("mode", MODES)
async def test_an_unreadable_symbol_leaves_the_others_as_they_are(stream: str, mode: str) -> None:
    await trio.sleep(11)
    cell = Cell(stream, mode)
    cell.start = cell.rig.clock.now().earlier_by(10.3)
    cell.set_up(in_flight_of=None)
    cell.read(cell.rows(ETH, "1", -9_000), sent_ms=10_000, received_ms=10_300, unreadable=BTC)
    assert cell.outcome(ETH, 10_000) == "fresh"
    assert cell.outcome(BTC, 10_000) == "none"
