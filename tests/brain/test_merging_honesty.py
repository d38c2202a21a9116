"""Merging against a model of the exchange: what a snapshot claims is what the position was.

The model is a history of positions, changing at known milliseconds. Reads show it as it was at some moment
between sending and answer; a stream pushes each change in order, some time after it; pings prove what came.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.positions.merging import apply_push, explained
from brain.positions.position import Leg, LegPosition
from brain.positions.symbol_state import Discrepancy, StreamProof, SymbolState, to_snapshot
from tests.brain.positions.states import at, judged

pytestmark = pytest.mark.simulation

LONGEST_PUSH_DELAY_MS = 250
END_MS = 3000
EXCHANGE_AHEAD_MS = 4321


LEGS = {False: (Leg.BOTH,), True: (Leg.LONG, Leg.SHORT)}


class Read(NamedTuple):
    """A REST read: when it was sent, when the exchange looked, and when the answer came."""

    sent: int
    looked: int
    received: int


class Story(NamedTuple):
    """One history, with the reads and pushes that showed it. `connected` is None without a stream."""

    changes: list[LegPosition]
    arrivals: list[int]
    reads: list[Read]
    pings: list[int]
    connected: int | None
    hedge_mode: bool


def position_at(story: Story, ms: int) -> list[LegPosition]:
    """The true rows of all legs at a moment of the exchange, dated by its own clock."""
    rows = []
    for leg in LEGS[story.hedge_mode]:
        flat = LegPosition(leg, Decimal(0), Decimal(0), 0)
        rows.append(
            max(
                (change for change in story.changes if change.leg is leg and change.update_time_ms <= ms),
                key=lambda change: change.update_time_ms,
                default=flat,
            )
        )
    return rows


def dated(row: LegPosition) -> LegPosition:
    """The row as the exchange dates it: its clock is not the host's."""
    changed_ms = row.update_time_ms + EXCHANGE_AHEAD_MS if row.update_time_ms else 0
    return LegPosition(row.leg, row.amount, row.entry_price, changed_ms)


# Made once: a strategy that is made inside of another is looked through anew for every example.
_LEGS = {hedge_mode: st.sampled_from(legs) for hedge_mode, legs in LEGS.items()}
_TIMES = st.lists(st.integers(1, END_MS), unique=True, max_size=8).map(sorted)
_READS = st.lists(
    st.tuples(st.integers(0, END_MS), st.integers(0, 800), st.integers(0, 800)), min_size=1, max_size=6
)
_PINGS = st.lists(st.integers(0, END_MS), max_size=4)


@st.composite
def stories(draw: st.DrawFn, *, with_stream: bool) -> Story:
    hedge_mode = draw(st.booleans())
    times = draw(_TIMES)
    changes = [
        LegPosition(draw(_LEGS[hedge_mode]), Decimal(draw(st.integers(-3, 3))), Decimal(100), ms)
        for ms in times
    ]
    arrivals: list[int] = []
    for ms in times:
        delay = draw(st.integers(0, LONGEST_PUSH_DELAY_MS))
        arrivals.append(max([ms + delay, *arrivals]))
    reads = [Read(sent, sent + asking, sent + asking + answering) for sent, asking, answering in draw(_READS)]
    pings = draw(_PINGS)
    connected = draw(st.integers(0, END_MS)) if with_stream else None
    return Story(changes, arrivals, reads, pings, connected, hedge_mode)


def messages(story: Story) -> Iterator[tuple[int, Read | LegPosition | StreamProof]]:
    """Everything that reaches the service, in the order in which it does."""
    events: list[tuple[int, int, Read | LegPosition | StreamProof]] = []
    events += [(read.received, 0, read) for read in story.reads]
    if story.connected is not None:
        since = at(story.connected)
        for change, arrival in zip(story.changes, story.arrivals, strict=True):
            if change.update_time_ms >= story.connected:
                events.append((arrival, 0, dated(change)))
        for ping in story.pings:
            # Answered when all that happened until the claimed moment has come.
            proof = StreamProof(since, at(ping - LONGEST_PUSH_DELAY_MS))
            events.append((ping, 1, proof))
    for moment, _, event in sorted(events, key=lambda event: event[:2]):
        yield moment, event


def follow(story: Story) -> Iterator[tuple[SymbolState, StreamProof | None]]:
    """Yield the merged state after each message, with the newest proof."""
    state = SymbolState("BTCUSDT")
    proof: StreamProof | None = None
    since = None if story.connected is None else at(story.connected)
    for moment, event in messages(story):
        if isinstance(event, StreamProof):
            proof = event
        elif isinstance(event, LegPosition):
            state = apply_push(
                state, event, at(moment), stream_since=since, exchange_ahead_ms=EXCHANGE_AHEAD_MS
            )
        else:
            shown = [dated(row) for row in position_at(story, event.looked)]
            state, _ = judged(
                state,
                *shown,
                sent=event.sent,
                received=event.received,
                since=story.connected,
                ahead_ms=EXCHANGE_AHEAD_MS,
            )
        yield state, proof


STORIES = stories(with_stream=True) | stories(with_stream=False)


@settings(max_examples=400)
@given(STORIES)
def test_the_position_was_what_a_snapshot_claims_when_it_claims_it(story: Story) -> None:
    for state, proof in follow(story):
        for snapshot in (to_snapshot(state, None), to_snapshot(state, proof)):
            if snapshot is not None:
                true = position_at(story, snapshot.verified_at.wall_ms)
                assert [row.amount for row in snapshot.legs] == [row.amount for row in true]


@settings(max_examples=400)
@given(STORIES)
def test_a_merged_position_never_goes_back(story: Story) -> None:
    newest: dict[Leg, int] = {}
    for state, _ in follow(story):
        for known in state.legs:
            assert known.row.update_time_ms >= newest.get(known.row.leg, 0)
            newest[known.row.leg] = known.row.update_time_ms


@settings(max_examples=400)
@given(STORIES)
def test_the_newest_row_stands_in_the_end(story: Story) -> None:
    for last, _ in follow(story):
        state = last
    rows = [dated(row) for read in story.reads for row in position_at(story, read.looked)]
    rows += [event for _, event in messages(story) if isinstance(event, LegPosition)]
    for known in state.legs:
        newest = max((row for row in rows if row.leg is known.row.leg), key=lambda row: row.update_time_ms)
        assert known.row == newest


@settings(max_examples=400)
@given(stories(with_stream=True))
def test_a_stream_without_gaps_explains_every_discrepancy(story: Story) -> None:
    state = SymbolState("BTCUSDT")
    found: list[Discrepancy] = []
    for moment, event in messages(story):
        if isinstance(event, LegPosition):
            state = apply_push(state, event, at(moment))
        elif isinstance(event, Read):
            shown = [dated(row) for row in position_at(story, event.looked)]
            state, discrepancies = judged(
                state, *shown, sent=event.sent, received=event.received, since=story.connected or 0
            )
            found += discrepancies
    assert all(explained(state, discrepancy) for discrepancy in found)


@settings(max_examples=200)
@given(stories(with_stream=True), st.integers(0, 1000))
def test_a_proof_makes_a_whole_position_as_fresh_as_itself(story: Story, later_ms: int) -> None:
    for last, _ in follow(story):
        state = last
    since = at(story.connected or 0)
    as_of = at(END_MS + later_ms)
    snapshot = to_snapshot(state, StreamProof(since, as_of))
    if state.synced_at is not None and state.synced_at >= since:
        assert snapshot is not None and snapshot.verified_at == max(as_of, snapshot.verified_at)
