from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from simulator import PositionChange, PositionHistory, SimulatedExchange
from simulator.external_events import move_position
from simulator.symbols import load_symbols
from tests.simulator.clients import HandClock

SYMBOLS = {name: load_symbols()[name] for name in ("BTCUSDT", "ETHUSDT")}


class Step(NamedTuple):
    symbol: str
    steps: int
    waits_ms: int
    skew_ms: int


steps = st.lists(
    st.builds(
        Step,
        symbol=st.sampled_from(sorted(SYMBOLS)),
        steps=st.integers(-500, 500).filter(bool),
        waits_ms=st.integers(0, 3),
        skew_ms=st.sampled_from([0, 0, 0, -40, 90]),
    ),
    max_size=40,
)


def play(
    moves: list[Step], *, follow_clock: bool = True
) -> tuple[SimulatedExchange, list[tuple[int, str, Decimal]]]:
    """Make the moves; also give (host time, symbol, position) after each, as a witness of its own.

    A change takes effect when it may be shown: in a burst that is milliseconds later.
    """
    clock = HandClock()
    exchange = SimulatedExchange(symbols=SYMBOLS, host_ms=clock)
    exchange.faults.transaction_times_follow_clock = follow_clock
    seen: list[tuple[int, str, Decimal]] = []
    for move in moves:
        clock.now_ms += move.waits_ms
        exchange.faults.clock_skew_ms = move.skew_ms
        move_position(exchange, move.symbol, delta=move.steps * SYMBOLS[move.symbol].step_size)
        shown_ms = clock.now_ms + round(exchange.sec_until_shown() * 1000)
        shown_ms = max([shown_ms, *(at_ms for at_ms, symbol, _ in seen if symbol == move.symbol)])
        seen.append((shown_ms, move.symbol, exchange.position(move.symbol).amount))
    return exchange, seen


@given(steps)
def test_the_sum_of_the_fills_is_the_position(moves: list[Step]) -> None:
    exchange, _ = play(moves)
    for name in SYMBOLS:
        changes = exchange.history.changes(name)
        assert sum((change.delta for change in changes), Decimal(0)) == exchange.position(name).amount
        assert all(later.amount == earlier.amount + later.delta for earlier, later in pairwise(changes))


@given(steps)
def test_transaction_times_grow_strictly_and_the_last_is_the_update_time(moves: list[Step]) -> None:
    exchange, _ = play(moves, follow_clock=False)
    all_times = sorted(
        change.transaction_time_ms for name in SYMBOLS for change in exchange.history.changes(name)
    )
    assert len(set(all_times)) == len(all_times)
    for name in SYMBOLS:
        times = [change.transaction_time_ms for change in exchange.history.changes(name)]
        assert times == sorted(times)
        assert exchange.position(name).update_time_ms == (times[-1] if times else 0)


@given(steps)
def test_position_at_a_host_time_is_what_the_position_was_then(moves: list[Step]) -> None:
    exchange, seen = play(moves)
    for name in SYMBOLS:
        last_of_each_ms = {time_ms: amount for time_ms, symbol, amount in seen if symbol == name}
        for time_ms, amount in last_of_each_ms.items():
            assert exchange.history.position_at(name, time_ms) == amount
            assert amount in exchange.history.positions_between(name, time_ms, time_ms)


@given(steps)
def test_position_at_an_exchange_time_is_the_change_with_that_time(moves: list[Step]) -> None:
    exchange, _ = play(moves, follow_clock=False)
    for name in SYMBOLS:
        before = Decimal(0)
        for change in exchange.history.changes(name):
            at = change.transaction_time_ms
            assert exchange.history.position_at(name, at, clock="exchange") == change.amount
            assert exchange.history.position_at(name, at - 1, clock="exchange") == before
            both = exchange.history.positions_between(name, at - 1, at, clock="exchange")
            assert {before, change.amount} <= both
            before = change.amount


def change(time_ms: int, amount: str, wall_ms: int | None = None) -> PositionChange:
    return PositionChange(
        symbol="BTCUSDT",
        position_side="BOTH",
        transaction_time_ms=time_ms,
        wall_time_ms=time_ms if wall_ms is None else wall_ms,
        amount=Decimal(amount),
        delta=Decimal(amount),
        price=Decimal(1),
        client_order_id="x",
        order_id=1,
        announced=True,
    )


def test_before_the_first_change_and_for_unknown_symbols_the_position_is_zero() -> None:
    history = PositionHistory()
    history.append(change(10, "1"))
    assert history.position_at("BTCUSDT", 9) == 0
    assert history.position_at("ETHUSDT", 99) == 0


def test_positions_between_names_every_value_of_the_interval_and_no_other() -> None:
    history = PositionHistory()
    for time_ms, amount in ((10, "1"), (20, "2"), (30, "3")):
        history.append(change(time_ms, amount))
    assert history.positions_between("BTCUSDT", 11, 19) == {Decimal(1)}
    assert history.positions_between("BTCUSDT", 12, 20) == {Decimal(1), Decimal(2)}
    assert history.positions_between("BTCUSDT", 20, 20) == {Decimal(1), Decimal(2)}
    assert history.positions_between("BTCUSDT", 0, 99) == {Decimal(n) for n in range(4)}


def test_a_change_with_an_older_date_counts_from_the_latest_date_before_it() -> None:
    history = PositionHistory()
    history.append(change(10, "1", wall_ms=10))
    history.append(change(3, "2", wall_ms=20))
    assert history.position_at("BTCUSDT", 9, clock="exchange") == 0
    assert history.position_at("BTCUSDT", 10, clock="exchange") == 2
    assert [history.position_at("BTCUSDT", at_ms) for at_ms in (19, 20)] == [Decimal(1), Decimal(2)]


def test_a_host_clock_set_back_does_not_unsort_the_history() -> None:
    history = PositionHistory()
    history.append(change(10, "1", wall_ms=100))
    history.append(change(11, "2", wall_ms=50))
    assert history.position_at("BTCUSDT", 99) == 0
    assert history.position_at("BTCUSDT", 100) == 2


def test_a_history_can_be_rebuilt_from_what_the_control_route_sends() -> None:
    exchange, seen = play([Step("BTCUSDT", 5, 1, 0), Step("BTCUSDT", -2, 1, 0)])
    wire = msgspec.json.encode(exchange.history.changes("BTCUSDT"))
    rebuilt = PositionHistory()
    for entry in msgspec.json.decode(wire, type=list[PositionChange]):
        rebuilt.append(entry)
    assert rebuilt.position_at("BTCUSDT", seen[0][0]) == seen[0][2]


def test_changes_of_one_millisecond_are_shown_one_by_one_at_their_times() -> None:
    clock = HandClock()
    exchange = SimulatedExchange(symbols=SYMBOLS, host_ms=clock)
    name = min(SYMBOLS)
    for _ in range(3):
        move_position(exchange, name, delta=SYMBOLS[name].step_size)
    first, second, third = exchange.history.changes(name)
    assert [change.wall_time_ms - clock.now_ms for change in (first, second, third)] == [0, 1, 2]
    assert exchange.sec_until_shown() == 0.002
    clock.now_ms += 2
    assert exchange.sec_until_shown() == 0
    exchange.faults.clock_skew_ms = -3_600_000
    assert exchange.sec_until_shown() == 0, "a clock that was set back holds nothing up"
    exchange.faults.transaction_times_follow_clock = False
    assert exchange.sec_until_shown() == 0.05, "nor for long where times only ever grow"
