from __future__ import annotations

from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.execution.absence import AbsenceEvidence, missing_evidence, query_times_sec, settled_ms
from tests.brain.execution.test_progress import RECORD

SETTLE_SEC = 30.0
SETTLED = settled_ms(RECORD, SETTLE_SEC)
PROVEN = AbsenceEvidence(
    now_ms=SETTLED + 6_000,
    not_found_ms=(SETTLED + 1, SETTLED + 5_001),
    not_listed_ms=SETTLED + 5_001,
    unchanged_ms=None,
    stream_since_ms=RECORD.timestamp_ms - 1,
)


def proven(evidence: AbsenceEvidence) -> bool:
    return missing_evidence(RECORD, evidence, SETTLE_SEC) == ()


def test_the_settle_time_counts_from_the_end_of_the_receive_window() -> None:
    assert SETTLED == 1_000_000 + 3_000 + 30_000


def test_all_four_conditions_prove_that_there_is_no_order() -> None:
    assert proven(PROVEN)


def test_a_position_that_is_explained_stands_for_the_stream() -> None:
    assert proven(msgspec.structs.replace(PROVEN, stream_since_ms=None, unchanged_ms=SETTLED + 1))


@pytest.mark.parametrize(
    "lacking",
    [
        {"now_ms": None},
        {"now_ms": SETTLED},
        {"not_found_ms": ()},
        {"not_found_ms": (SETTLED + 1,)},
        {"not_found_ms": (SETTLED + 1, SETTLED + 5_000)},
        {"not_found_ms": (SETTLED, SETTLED + 5_001)},
        {"not_found_ms": (RECORD.timestamp_ms, SETTLED + 1)},
        {"not_listed_ms": None},
        {"not_listed_ms": SETTLED},
        {"not_listed_ms": SETTLED + 5_000},
        {"stream_since_ms": None},
        {"stream_since_ms": RECORD.timestamp_ms},
        {"stream_since_ms": None, "unchanged_ms": SETTLED},
    ],
)
def test_each_condition_is_needed(lacking: dict[str, object]) -> None:
    assert len(missing_evidence(RECORD, msgspec.structs.replace(PROVEN, **lacking), SETTLE_SEC)) == 1


@given(st.lists(st.integers(RECORD.timestamp_ms, SETTLED), max_size=20))
def test_no_number_of_early_answers_proves_anything(early: list[int]) -> None:
    assert not proven(msgspec.structs.replace(PROVEN, not_found_ms=tuple(early)))


def test_the_exchange_is_asked_soon_and_then_each_ten_seconds() -> None:
    assert list(islice(query_times_sec(), 9)) == [0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 40.0]
