"""Windows over minutes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from brain.intelligence.outcome import Outcome
from brain.intelligence.windows import (
    MOST_TOP,
    WINDOWS,
    Counts,
    distribution_line,
    minute_of,
    minutes_until,
    read_bucket,
    window_of,
)


def counts(decisions: dict[str, int], reasons: dict[str, int] | None = None) -> Counts:
    return Counts(Counter(decisions), Counter(reasons or {}), Counter())


def test_minutes_are_named_in_utc() -> None:
    assert minute_of(0) == "197001010000"
    assert minute_of(1_764_452_339_999) == "202511292138"
    assert minute_of(1_764_452_340_000) == "202511292139"
    assert minute_of(2**64) == "999912312359"


def test_the_longest_window_begins_with_the_present_minute() -> None:
    minutes = minutes_until(1_764_460_799_000)
    assert len(minutes) == max(WINDOWS.values()) == 60
    assert (minutes[0], minutes[59]) == ("202511292359", "202511292300")
    assert minutes == sorted(minutes, reverse=True)


def test_a_bucket_is_read_by_the_kinds_of_its_fields() -> None:
    read = read_bucket(
        {
            b"decision:EXECUTE": b"3",
            b"decision:UNKNOWN:a:b": b"1",
            b"reason:none": b"3",
            b"reason:p33_permit_denied:no_position": b"1",
            b"gate:p33:p33_permit_denied:no_position": b"1",
            b"symbol_reason:BTCUSDT:none": b"3",
            b"decision:": b"1",
            b"decision:SKIP": b"not a number",
            b"reason:\xff": b"2",
            b"reason:huge": b"1" * 400,
            b"anything": b"7",
        }
    )
    assert read.decisions == {"EXECUTE": 3, "UNKNOWN:a:b": 1}
    assert read.reasons == {"none": 3, "p33_permit_denied:no_position": 1, "\ufffd": 2}
    assert read.gates == {"p33:p33_permit_denied:no_position": 1}
    assert read.results == 4


def test_the_line_of_the_log_has_the_most_frequent_reasons_and_no_none() -> None:
    window = counts(
        {"EXECUTE": 7, "BLOCKED": 5, "SKIP": 2},
        {"none": 7, "b": 2, "a": 2, "c": 1, "d": 1, "e": 1, "f": 1},
    )
    assert distribution_line(window) == (
        "P3.5 gate distribution 5m: EXECUTE=7 BLOCKED=5 SKIP=2 ERROR=0 "
        "reason=a:2 reason=b:2 reason=c:1 reason=d:1 reason=e:1"
    )
    unknown = window_of([window, counts({"UNKNOWN:x": 2, "UNKNOWN:y": 1})])
    assert distribution_line(unknown).endswith(" UNKNOWN=3")
    assert unknown.unknown_decisions() == [("x", 2), ("y", 1)]
    assert distribution_line(window_of([])) == "P3.5 gate distribution 5m: EXECUTE=0 BLOCKED=0 SKIP=0 ERROR=0"


NAMES = st.one_of(
    st.sampled_from([outcome.value for outcome in Outcome if outcome is not Outcome.UNKNOWN]),
    st.integers(0, 120).map(lambda n: f"UNKNOWN:{n}"),
)
GATES = st.tuples(st.sampled_from(["p33", "governor"]), st.integers(0, 300)).map(
    lambda pair: f"{pair[0]}:{pair[1]}"
)


@given(
    st.lists(
        st.builds(
            Counts,
            st.dictionaries(NAMES, st.integers(1, 9), max_size=90).map(Counter),
            st.dictionaries(st.integers(0, 99).map(str), st.integers(1, 9), max_size=90).map(Counter),
            st.dictionaries(GATES, st.integers(1, 9), max_size=300).map(Counter),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_a_window_is_the_sum_of_its_minutes_and_has_few_names(minutes: list[Counts]) -> None:
    window = window_of(minutes)
    assert window.results == sum(each.results for each in minutes)
    for outcome in Outcome:
        assert window.of(outcome) == sum(each.of(outcome) for each in minutes)
    assert sum(window.reasons.values()) == sum(sum(each.reasons.values()) for each in minutes)
    assert sum(window.gates.values()) == sum(sum(each.gates.values()) for each in minutes)
    assert len(window.decisions) <= 4 + 51
    assert len(window.gates) <= 202
    assert len(window.top_reasons()) <= MOST_TOP
    assert all(count > 0 for count in window.decisions.values())
