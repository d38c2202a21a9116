"""The newest results by symbol: bounded, and never more certain than what was kept."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from brain.identifiers import EntryId, FencingToken, OrderId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import ResultBook
from tests.background import background

ONE = Decimal(1)


def at(ms: int) -> Moment:
    return Moment(ms / 1000, 1_760_000_000_000 + ms)


def shown(verified_ms: int, updated_ms: int, symbol: str = "BTCUSDT") -> Snapshot:
    leg = LegPosition(Leg.BOTH, ONE, None, updated_ms)
    return Snapshot(symbol, (leg,), None, None, 0, at(verified_ms), VerifiedBy.STREAM)


def booked(book: ResultBook, order_id: str, arrived_ms: int, symbol: str = "BTCUSDT") -> None:
    book.arrive(Symbol(symbol), EntryId(f"{arrived_ms}-0"), at(arrived_ms))
    book.finish(Symbol(symbol), EntryId(f"{arrived_ms}-0"), [(OrderId(order_id), ONE)])


@pytest.fixture
def book() -> ResultBook:
    return ResultBook("results")


def test_a_result_in_hand_is_in_no_snapshot_from_before_its_arrival(book: ResultBook) -> None:
    book.arrive(Symbol("BTCUSDT"), EntryId("1-0"), at(100))
    assert not book.all_in(shown(99, 1_000))
    assert book.all_in(shown(100, 0))
    assert book.all_in(shown(99, 0, "ETHUSDT"))


def test_a_refusal_or_a_repetition_makes_no_snapshot_older(book: ResultBook) -> None:
    book.arrive(Symbol("BTCUSDT"), EntryId("1-0"), at(100))
    book.finish(Symbol("BTCUSDT"), EntryId("1-0"))
    assert book.all_in(shown(99, 0))


def test_each_of_several_orders_must_be_in_the_snapshot(book: ResultBook) -> None:
    booked(book, "a", 100)
    booked(book, "b", 110)
    book.date(Symbol("BTCUSDT"), OrderId("b"), Leg.BOTH, ONE, 95)
    assert not book.all_in(shown(90, 95)), "a is not dated"
    book.date(Symbol("BTCUSDT"), OrderId("a"), Leg.BOTH, ONE, 90)
    assert book.all_in(shown(90, 95))
    assert not book.all_in(shown(90, 94))


def test_a_fill_of_less_than_was_reported_dates_nothing(book: ResultBook) -> None:
    booked(book, "a", 100)
    book.date(Symbol("BTCUSDT"), OrderId("a"), Leg.BOTH, Decimal("0.5"), 90)
    assert not book.all_in(shown(95, 95))


def test_many_orders_of_a_symbol_shrink_to_the_moment_of_their_arrival(book: ResultBook) -> None:
    for number in range(100):
        booked(book, f"order-{number}", number)
        book.date(Symbol("BTCUSDT"), OrderId(f"order-{number}"), Leg.BOTH, ONE, 1)
    assert not book.all_in(shown(82, 1)), "the oldest are no longer dated"
    assert book.all_in(shown(83, 1))


def test_many_symbols_shrink_to_a_moment_for_all(book: ResultBook) -> None:
    for number in range(5_001):
        booked(book, "a", 7, f"S{number}")
    assert book.depth == 1
    assert not book.all_in(shown(6, 0, "S3"))
    assert book.all_in(shown(7, 0, "S3"))


def test_a_result_in_hand_when_booking_began_again_may_have_been_booked(book: ResultBook) -> None:
    book.begin(FencingToken("fence-1"), at(0))
    book.arrive(Symbol("BTCUSDT"), EntryId("1-0"), at(100))
    book.begin(FencingToken("fence-1"), at(200))
    assert book.taken_over_at == at(0)
    assert not book.unfinished("BTCUSDT", at(200), 2.0)
    assert not book.all_in(shown(99, 0))
    assert book.all_in(shown(100, 0))
    book.begin(FencingToken("fence-2"), at(300))
    assert book.taken_over_at == at(300)


def test_a_read_sent_at_the_latest_arrival_contains_everything(book: ResultBook) -> None:
    assert book.latest("BTCUSDT") is None
    book.begin(FencingToken("fence"), at(5))
    assert book.latest("BTCUSDT") == at(5)
    booked(book, "a", 100)
    assert book.latest("BTCUSDT") == at(100)
    book.arrive(Symbol("BTCUSDT"), EntryId("2-0"), at(120))
    assert book.latest("BTCUSDT") == at(120)
    assert book.all_in(shown(120, 0))
    assert book.latest("ETHUSDT") == at(5)


def test_a_result_is_waited_for_only_a_while(book: ResultBook) -> None:
    book.arrive(Symbol("BTCUSDT"), EntryId("1-0"), at(100))
    assert book.unfinished("BTCUSDT", at(2_100), 2.0)
    assert not book.unfinished("BTCUSDT", at(2_101), 2.0)


async def test_readers_wake_when_a_result_arrives_is_finished_or_dated(autojump_clock: MockClock) -> None:
    book = ResultBook("results")
    woken: list[int] = []

    async def read() -> None:
        while True:
            await book.changed()
            woken.append(len(woken))

    async with background(read):
        await trio.testing.wait_all_tasks_blocked()
        book.arrive(Symbol("BTCUSDT"), EntryId("1-0"), at(1))
        await trio.testing.wait_all_tasks_blocked()
        book.finish(Symbol("BTCUSDT"), EntryId("1-0"), [(OrderId("a"), ONE)])
        await trio.testing.wait_all_tasks_blocked()
        book.date(Symbol("BTCUSDT"), OrderId("a"), Leg.BOTH, ONE, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert len(woken) == 3
