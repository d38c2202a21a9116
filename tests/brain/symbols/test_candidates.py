"""Which symbols are kept warm, and how many."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.symbols.candidates import (
    EWMA_START_MS,
    Candidates,
    budget_cap,
    choose_candidates,
    newest_first,
    rank,
    smoothed,
    snapshot_line,
    top_k,
)


@pytest.mark.parametrize(
    ("ewma_ms", "k"), [(50, 60), (100, 30), (300, 20), (500, 20), (149, 20), (142, 21), (0, 3000)]
)
def test_k_is_what_a_cycle_has_time_for(ewma_ms: float, k: int) -> None:
    assert top_k(target_cycle_sec=3.0, ewma_latency_ms=ewma_ms, min_top_k=20) == k


def test_k_may_fall_to_what_slow_answers_allow() -> None:
    assert top_k(target_cycle_sec=3.0, ewma_latency_ms=300, min_top_k=1) == 10
    assert top_k(target_cycle_sec=3.0, ewma_latency_ms=500, min_top_k=1) == 6


def test_the_average_starts_at_100_ms_and_follows_slowly() -> None:
    assert EWMA_START_MS == 100.0
    assert smoothed(EWMA_START_MS, 300) == pytest.approx(160)
    ewma_ms = EWMA_START_MS
    for _ in range(30):
        ewma_ms = smoothed(ewma_ms, 300)
    assert ewma_ms == pytest.approx(300, abs=0.01)


def test_ranks_go_by_volume_and_then_by_name() -> None:
    volumes = {"B": Decimal(5), "A": Decimal(5), "Z": Decimal("5.000000000000000001"), "Y": Decimal(0)}
    assert rank(volumes) == ["Z", "A", "B", "Y"]


def test_intents_count_while_they_are_recent_the_newest_first() -> None:
    intents = {"OLD": 999, "LIMIT": 1000, "B": 5000, "A": 5000, "NEW": 31_000}
    assert newest_first(intents, now_ms=31_000, window_sec=30) == ["NEW", "A", "B", "LIMIT"]


def test_open_positions_are_warmed_first_then_intents_then_the_largest() -> None:
    candidates = choose_candidates(
        open_positions={"SOL", "ADA"},
        intents=["XRP", "ADA", "BTC"],
        ranked=["BTC", "ETH", "SOL", "BNB"],
        k=2,
        cap=9,
    )
    assert candidates == Candidates(("ADA", "SOL", "XRP", "BTC", "ETH"))


def test_the_cap_cuts_from_the_end() -> None:
    candidates = choose_candidates(open_positions=["B", "A"], intents=["I"], ranked=["R", "S"], k=2, cap=3)
    assert candidates == Candidates(("A", "B", "I"))


NAMES = st.sampled_from("ABCDEFGH")


@given(st.sets(NAMES), st.lists(NAMES), st.lists(NAMES, unique=True), st.integers(0, 9), st.integers(0, 9))
def test_each_is_kept_once_and_none_is_left_out_but_by_the_cap(
    open_positions: set[str], intents: list[str], ranked: list[str], k: int, cap: int
) -> None:
    def chosen(cap: int) -> tuple[str, ...]:
        return choose_candidates(
            open_positions=open_positions, intents=intents, ranked=ranked, k=k, cap=cap
        ).symbols

    everything = chosen(1000)
    assert chosen(cap) == everything[:cap]
    assert len(set(everything)) == len(everything)
    assert set(everything) == open_positions | set(intents) | set(ranked[:k])
    assert set(everything[: len(open_positions)]) == open_positions


@pytest.mark.parametrize(
    ("budget", "weight", "threshold_sec", "answer_sec", "symbols"),
    [
        (1200, 5, 10, 0, 40),
        (1200, 5, 10, 0.5, 38),
        (2400, 5, 10, 0, 80),
        (1200, 5, 5, 0, 20),
        (60, 5, 10, 0, 2),
        (1, 5, 10, 0, 0),
        (1200, 5, 1, 2, 0),
    ],
)
def test_the_budget_carries_only_so_many_symbols(
    budget: int, weight: int, threshold_sec: float, answer_sec: float, symbols: int
) -> None:
    assert budget_cap(budget, weight, threshold_sec, answer_sec) == symbols


def test_the_log_line_is_the_one_that_operators_grep_for() -> None:
    assert (
        snapshot_line(candidates=33, cycle_ms=2900.4, ewma_ms=101.6)
        == "P3.3 snapshot: candidates=33, cycle_ms=2900, ewma_ms=102"
    )
