"""After any history of a symbol, the exchange's present answer is accepted within two reads."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brain.positions.merging import EVENT_IN_FLIGHT_SEC, apply_push, not_shown
from brain.positions.position import Leg, LegPosition, VerifiedBy
from brain.positions.symbol_state import StreamProof, SymbolState, to_snapshot
from tests.brain.positions import states
from tests.brain.positions.states import at, row

LAST_MS = 10_000
#: Seconds, milliseconds and microseconds; before the first trade, long ago, now, and years ahead.
DATES = st.one_of(st.integers(-20_000, 20_000), st.sampled_from([0, 10**9, 1_700_000_000_000_000]))
AMOUNTS = st.integers(-2, 2).map(Decimal)
MODES = ((Leg.BOTH,), (Leg.LONG, Leg.SHORT))


def read(state: SymbolState, rows: list[LegPosition], sent: int, received: int) -> SymbolState:
    return states.read(state, *rows, sent=sent, received=received, not_after_ms=received + 1000)


@st.composite
def histories(draw: st.DrawFn, legs: tuple[Leg, ...]) -> SymbolState:
    """Pushes and reads in any order, with any dates; without a bound, too,
    as before the exchange clock was first asked."""
    state = SymbolState("BTCUSDT")
    times = sorted(draw(st.lists(st.integers(0, LAST_MS), max_size=8)))
    for ms in times:
        date_ms = draw(DATES)
        kind = draw(st.sampled_from(["push", "unbounded push", "read", "not shown"]))
        if kind == "not shown":
            state = not_shown(state, at(ms))
        elif kind == "read":
            rows = [row(draw(AMOUNTS), draw(DATES), leg) for leg in legs]
            state = read(state, rows, max(0, ms - draw(st.integers(0, 3_000))), ms)
        else:
            leg = draw(st.sampled_from([*legs, Leg.BOTH]))
            bound_ms = None if kind == "unbounded push" else ms + 1000
            state = apply_push(state, row(draw(AMOUNTS), date_ms, leg), at(ms), not_after_ms=bound_ms)
    return state


@given(st.data(), st.sampled_from(MODES))
def test_two_reads_apart_that_agree_are_accepted_after_any_history(
    data: st.DataObject, legs: tuple[Leg, ...]
) -> None:
    state = data.draw(histories(legs))
    truth = [row(data.draw(AMOUNTS), data.draw(st.integers(-20_000, 0)), leg) for leg in legs]
    first = LAST_MS + round(EVENT_IN_FLIGHT_SEC * 1000) + 1
    second = first + round(EVENT_IN_FLIGHT_SEC * 1000) + data.draw(st.integers(301, 9_000))
    state = read(state, truth, first, first + 300)
    state = read(state, truth, second, second + 300)
    snapshot = to_snapshot(state, None)
    assert snapshot is not None
    assert [known.amount for known in snapshot.legs] == [known.amount for known in truth]
    assert (snapshot.verified_at, snapshot.verified_by) == (at(second), VerifiedBy.REST)


@given(st.data(), st.sampled_from(MODES))
def test_contradicted_amounts_are_claimed_no_more(data: st.DataObject, legs: tuple[Leg, ...]) -> None:
    """A read sent well after all that is known came: its amounts are claimed, or none are."""
    state = data.draw(histories(legs))
    truth = [row(data.draw(AMOUNTS), data.draw(st.integers(-20_000, 0)), leg) for leg in legs]
    sent = LAST_MS + round(EVENT_IN_FLIGHT_SEC * 1000) + 1
    state = read(state, truth, sent, sent + 300)
    snapshot = to_snapshot(state, StreamProof(at(0), at(sent + 250)))
    assert snapshot is None or [each.amount for each in snapshot.legs] == [each.amount for each in truth]
