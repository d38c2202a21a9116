"""Rules 14 and 17-20: which symbols the stream covers, and when each is read next."""

from __future__ import annotations

import pytest
import trio

from actors.snapshot_fetcher.read_schedule import Cadence, Gap, NextRead, ReadReason, ReadSchedule
from brain.moment import Moment
from channels import SnapshotBook
from clock import TrioClock
from tests.actors.snapshot_fetcher.test_early_reads import at, fill

BTC, ETH = "BTCUSDT", "ETHUSDT"


@pytest.fixture
def book() -> SnapshotBook:
    return SnapshotBook("book")


@pytest.fixture
def schedule(book: SnapshotBook) -> ReadSchedule:
    """Returns one whose symbols, BTC alone and all together, were read at second 10."""
    made = ReadSchedule(Cadence(poll_sec=5, audit_sec=8, audit_max_age_sec=60), book, TrioClock(0))
    made.answered(None, at(10))
    made.shown(BTC, at(10))
    return made


def gap(schedule: ReadSchedule, symbol: str, now: Moment) -> Gap | None:
    return schedule.gap(symbol, now.earlier_by(schedule.cadence.audit_max_age_sec))


def test_a_late_answer_never_undoes_a_later_read(schedule: ReadSchedule) -> None:
    schedule.shown(BTC, at(8))
    assert schedule.read_since(BTC, at(10)) and not schedule.read_since(BTC, at(10.001))
    assert not schedule.read_since(ETH, at(0))


def test_the_stream_covers_a_symbol_until_its_last_read_is_too_old_by_either_clock(
    schedule: ReadSchedule,
) -> None:
    assert gap(schedule, BTC, at(70)) is None
    for now in (at(70.01), Moment(20, 70_010), Moment(70.01, 20_000)):
        assert gap(schedule, BTC, now) is Gap.AUDIT_OVERDUE
    assert gap(schedule, ETH, at(11)) is Gap.AUDIT_OVERDUE


def test_the_stream_covers_candidates_alone_where_symbols_are_read_one_by_one(schedule: ReadSchedule) -> None:
    schedule.shown(ETH, at(10))
    schedule.audited_symbols = {ETH: None}
    assert [gap(schedule, symbol, at(11)) for symbol in (BTC, ETH)] == [Gap.NO_CANDIDATE, None]


@pytest.mark.parametrize("symbol", [BTC, None])
def test_the_next_read_follows_the_last_one_after_the_interval_of_the_stream_s_state(
    schedule: ReadSchedule, symbol: str | None
) -> None:
    assert schedule.next_due(symbol) == NextRead(15, at(12.5), ReadReason.POLL)
    schedule.stream_proven = True
    assert schedule.next_due(symbol) == NextRead(18, at(14), ReadReason.AUDIT)


@pytest.mark.parametrize("symbol", [BTC, None])
def test_a_new_session_makes_a_read_due_at_once_until_one_is_sent_in_it(
    schedule: ReadSchedule, symbol: str | None
) -> None:
    schedule.begin_session(at(11))
    assert schedule.next_due(symbol) == NextRead(11, at(11), ReadReason.SESSION)
    schedule.answered(symbol, at(11))
    assert schedule.next_due(symbol).reason is ReadReason.POLL


def test_after_a_loss_of_trust_all_symbols_are_read_at_once(
    schedule: ReadSchedule, book: SnapshotBook
) -> None:
    book.lose_trust(at(12))
    assert schedule.next_due().reason is ReadReason.TRUST_LOST and schedule.next_due().recovers
    assert schedule.next_due().sent_after > at(12)
    assert schedule.next_due(BTC).reason is ReadReason.POLL
    schedule.answered(None, at(12.1))
    assert not schedule.next_due().recovers


async def test_a_symbol_that_was_never_read_is_due_now(schedule: ReadSchedule) -> None:
    before_sec, due = trio.current_time(), schedule.next_due(ETH)
    assert before_sec <= due.due_sec == due.sent_after.monotonic_sec <= trio.current_time()
    assert due.reason is ReadReason.FIRST


@pytest.mark.parametrize("symbol", [BTC, None])
def test_fills_and_ambiguous_positions_are_read_before_the_interval_is_over(
    schedule: ReadSchedule, symbol: str | None
) -> None:
    schedule.unmatched_fills.add(fill(13))
    assert schedule.next_due(symbol) == NextRead(14, at(13), ReadReason.FILL)
    schedule.ambiguous_reads.add(BTC, at(10))
    assert schedule.next_due(symbol) == NextRead(10.5, at(10.25), ReadReason.AMBIGUOUS)
    schedule.ambiguous_reads.dispute(BTC, at(11))
    assert schedule.next_due(symbol) == NextRead(12.01, at(12.01), ReadReason.DISPUTED)
    schedule.answered(symbol, at(13.01))
    assert schedule.next_due(symbol).reason is ReadReason.POLL


def test_symbols_that_need_a_read_are_read_beside_the_candidates(schedule: ReadSchedule) -> None:
    schedule.audited_symbols = {ETH: None}
    schedule.unmatched_fills.add(fill(13))
    schedule.unpublished.add("AUSDT")
    assert schedule.symbols_to_read() == [ETH, "AUSDT", BTC]
    assert all(map(schedule.is_to_read, schedule.symbols_to_read())) and not schedule.is_to_read("BUSDT")
