"""Stored texts that judgements rest on: optional ones that are missing, old or unreadable are absent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.governor.case import Efficiency
from brain.governor.grant_window import GrantWindow
from brain.governor.inputs import (
    Enforced,
    counts_of,
    enforced_budget,
    enforced_target,
    read_efficiency,
    read_heat,
    read_stats,
    read_sum,
    read_time,
)
from brain.governor.kill_score import KillStats, observe, stats_texts

NOW_MS = 1_760_000_000_000
NOW_SEC = b"1760000000"
texts = st.one_of(st.none(), st.binary(max_size=24), st.sampled_from([b"1", b"0.5", b"!", b"nan", b"-1"]))


@pytest.mark.parametrize(
    ("mode", "amount", "at", "expected"),
    [
        (b"enforce", b"150.5", NOW_SEC, Enforced(Decimal("150.5"), 0.0, False)),
        (b"ENFORCE", b"150", b"1759999940.0", Enforced(Decimal(150), 60.0, False)),
        (b"enforce", b"150", b"1760000000000", Enforced(Decimal(150), 0.0, False)),
        (b"enforce", b"150", b"1759999939", Enforced(None, 61.0, True)),
        (b"enforce", b"150", None, Enforced(None, None, True)),
        (b"enforce", b"150", b"soon", Enforced(None, None, True)),
        (b"shadow", b"150", NOW_SEC, Enforced(None, 0.0, False)),
        (None, b"150", NOW_SEC, Enforced(None, 0.0, False)),
        (b"enforce", b"much", NOW_SEC, Enforced(None, 0.0, False)),
        (b"enforce", b"-1", NOW_SEC, Enforced(None, 0.0, False)),
        (b"!", b"!", b"!", Enforced(None, None, True)),
        (None, None, None, Enforced(None, None, False)),
    ],
)
def test_a_budget_counts_while_it_is_enforced_and_at_most_60_s_old(
    mode: bytes | None, amount: bytes | None, at: bytes | None, expected: Enforced
) -> None:
    assert enforced_budget((mode, amount, None, at), NOW_MS) == expected


def test_an_allocation_counts_for_300_s() -> None:
    at_limit, older = b"1759999700", b"1759999699"
    assert enforced_target((b"enforce", b"9", b"1", at_limit), NOW_MS).amount == 9
    assert enforced_target((b"enforce", b"9", b"1", older), NOW_MS) == Enforced(None, 301.0, True)


def test_an_efficiency_has_score_confidence_and_age_or_is_none() -> None:
    assert read_efficiency((b"0.4", b"0.9", b"1759999990"), NOW_MS) == Efficiency(0.4, 0.9, 10.0)
    assert read_efficiency((b"0.4", None, NOW_SEC), NOW_MS) is None
    assert read_efficiency((b"inf", b"0.9", NOW_SEC), NOW_MS) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from([0.1, 0.25, 1.0]))
def test_statistics_are_read_as_they_were_written_to_the_last_bit(scores: list[float], alpha: float) -> None:
    stats: KillStats | None = None
    for score in scores:
        stats = observe(stats, score, alpha=alpha, ts_ms=NOW_MS)
    assert stats is not None
    assert read_stats([text.encode() for text in stats_texts(stats)]) == (stats, False)


@pytest.mark.parametrize(
    "stored",
    [
        (b"x", b"0.5", b"0.1", b"1"),
        (b"0", b"0.5", b"0.1", b"1"),
        (b"3", b"1.5", b"0.1", b"1"),
        (b"3", b"0.5", b"-0.1", b"1"),
        (b"3", b"nan", b"0.1", b"1"),
        (b"3", b"0.5", b"0.1", None),
        (None, b"0.5", None, None),
        (b"!", b"!", b"!", b"!"),
    ],
)
def test_statistics_that_cannot_be_read_are_another_thing_than_none(stored: tuple[bytes | None, ...]) -> None:
    assert read_stats(stored) == (None, True)
    assert read_stats((None, None, None, None)) == (None, False)


def test_counts_are_those_of_the_last_hour_and_of_the_last_five_minutes() -> None:
    window = GrantWindow(NOW_MS - ago for ago in (3_600_000, 3_599_999, 300_000, 299_999, 0))
    counts = counts_of(window, b"12.5", b"1759999999.5", b"123", NOW_MS)
    assert (counts.granted_hour, counts.granted_5min) == (4, 2)
    assert (counts.opened_today, counts.last_exec_sec) == (Decimal("12.5"), Decimal("1759999999.5"))
    assert counts.exit_blocked_since_ms == 123


def test_an_unreadable_sum_is_above_any_limit_and_an_unreadable_time_is_now() -> None:
    counts = counts_of(GrantWindow(), b"much", b"soon", b"x", NOW_MS)
    assert counts.opened_today >= Decimal(10) ** 14
    assert counts.last_exec_sec == Decimal(NOW_MS) / 1000
    assert counts.exit_blocked_since_ms is None
    assert (read_sum(None), read_sum(b"much"), read_time(b"soon")) == (Decimal(0), None, None)


@given(texts, texts, texts, texts)
def test_no_text_is_an_error(a: bytes | None, b: bytes | None, c: bytes | None, d: bytes | None) -> None:
    read_stats((a, b, c, d))
    counts_of(GrantWindow(), a, b, c, NOW_MS)
    enforced_budget((a, b, c, d), NOW_MS)
    enforced_target((a, b, c, d), NOW_MS)
    efficiency = read_efficiency((a, b, c), NOW_MS)
    assert efficiency is None or efficiency.age_sec >= 0
    heat = read_heat(a)
    assert heat is None or heat >= 0
