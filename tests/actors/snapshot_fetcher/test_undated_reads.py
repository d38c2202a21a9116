"""Positions that change while they are read: no answer tells when they were so."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from actors.snapshot_fetcher.read_schedule import UndatedReads
from brain.moment import Moment
from brain.positions.position import VerifiedBy
from channels import StreamProven
from tests.actors.fetcher_rig import FetcherRig, running_fetcher, trusted
from tests.integration.waiting import until


@pytest.fixture
def rig() -> FetcherRig:
    return FetcherRig()


def at(second: float) -> Moment:
    return Moment(second, round(second * 1000))


def withheld(*reads: tuple[str, float]) -> UndatedReads:
    """What was read of each symbol, sent at that second, is kept back."""
    undated = UndatedReads()
    for symbol, second in reads:
        undated.withheld(symbol, at(second))
    return undated


def cause(undated: UndatedReads, symbol: str | None = None) -> Moment | None:
    """The sending of the read to repeat."""
    repeat = undated.to_repeat(symbol)
    return None if repeat is None else repeat.cause


def test_each_dispute_wants_one_read_sent_more_than_a_second_after_it() -> None:
    undated = UndatedReads()
    undated.disputed("BTCUSDT", at(10))
    repeat = undated.to_repeat("BTCUSDT")
    assert repeat is not None and repeat.due_sec == repeat.sent_after.monotonic_sec > 11
    undated.read("BTCUSDT", at(11))
    assert undated.to_repeat() == repeat, "sent too early to settle it"
    undated.read("BTCUSDT", at(11.01))
    assert undated.to_repeat() is None
    undated.disputed("BTCUSDT", at(10))
    assert undated.to_repeat() is None, "the same dispute again"
    undated.disputed("BTCUSDT", at(12))
    assert cause(undated) == at(12)
    undated.published("BTCUSDT")
    assert undated.to_repeat() is None


def test_the_first_read_that_is_kept_back_wants_to_be_repeated_and_the_second_one_does_not() -> None:
    undated = withheld(("BTCUSDT", 10))
    assert undated.since("BTCUSDT") == cause(undated, "BTCUSDT") == cause(undated) == at(10)
    undated.read("BTCUSDT", at(10.24))
    assert cause(undated) == at(10)
    undated.read("BTCUSDT", at(11))
    undated.withheld("BTCUSDT", at(11))
    assert undated.since("BTCUSDT") == at(11)
    assert undated.to_repeat("BTCUSDT") is undated.to_repeat() is None
    undated.withheld("BTCUSDT", at(12))
    assert undated.to_repeat() is None


def test_a_published_symbol_is_forgotten_and_the_next_read_that_is_kept_back_is_a_first_one() -> None:
    undated = withheld(("BTCUSDT", 10), ("ETHUSDT", 10), ("BTCUSDT", 11))
    undated.published("BTCUSDT")
    assert undated.since("BTCUSDT") is None
    assert undated.symbols() == ["ETHUSDT"]
    undated.withheld("BTCUSDT", at(12))
    assert cause(undated, "BTCUSDT") == at(12)
    undated.published("BTCUSDT")
    undated.published("ETHUSDT")
    assert undated.to_repeat() is None


def test_of_all_symbols_the_oldest_read_is_the_one_to_repeat() -> None:
    undated = withheld(("ETHUSDT", 11), ("BTCUSDT", 10), ("SOLUSDT", 12))
    assert cause(undated) == at(10)
    assert cause(undated, "SOLUSDT") == at(12)
    assert undated.to_repeat("XRPUSDT") is None


def test_a_read_of_everything_ends_the_haste_for_what_the_exchange_no_longer_shows() -> None:
    undated = withheld(("BTCUSDT", 10), ("ETHUSDT", 11))
    undated.repeated(at(11))
    assert cause(undated) == at(11), "that read itself wants to be repeated"
    undated.repeated(at(12))
    assert undated.to_repeat() is None
    assert undated.symbols() == ["BTCUSDT", "ETHUSDT"], "still nobody can be told when it was so"


@pytest.mark.parametrize("before", [None, "0.5"])
async def test_a_position_that_changed_while_it_was_read_is_published_once_it_is_known_when_it_was_so(
    rig: FetcherRig, autojump_clock: MockClock, before: str | None
) -> None:
    """It may have changed again between the change that the answer shows and the answer."""
    async with running_fetcher(rig):
        if before is not None:
            rig.exchange.set("BTCUSDT", before, update_time_ms=5)
            await trusted(rig)
            await trio.sleep(3)
            rig.lose()
        await trio.sleep(4.4)
        rig.exchange.reads.clear()
        await until(lambda: bool(rig.exchange.reads), "a read", within_sec=6)
        await trio.sleep(0.05)
        rig.exchange.set("BTCUSDT", "0.7")
        changed = rig.clock.now()
        await trio.sleep(0.35)
        seen = rig.book.get("BTCUSDT")
        assert seen is None if before is None else seen is not None and seen.amount == Decimal(before)
        await trio.sleep(0.5)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.7")
        assert rig.snapshot("BTCUSDT").verified_at > changed
        assert len(rig.exchange.reads) == 2


async def test_what_a_read_has_outdated_is_never_made_fresher_by_the_stream(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    """The audit shows a change of this moment, and its event is lost: proofs may not renew the old amount."""
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    async with running_fetcher(rig):
        await trusted(rig)
        rig.exchange.reads.clear()
        while not rig.exchange.reads:
            rig.prove()
            await trio.sleep(0.05)
        rig.exchange.set("BTCUSDT", "0.7")
        with trio.fail_after(1):
            await rig.positions.read(rig.clock.now().earlier_by(0.1))
            await trio.sleep(0.01)
        outdated = rig.snapshot("BTCUSDT")
        assert outdated.amount == Decimal("0.5")
        for _ in range(30):
            rig.prove()
            await trio.sleep(0.05)
            if rig.snapshot("BTCUSDT").amount == Decimal("0.7"):
                break
            assert rig.snapshot("BTCUSDT").verified_at == outdated.verified_at
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.7")


async def test_a_proof_publishes_what_changed_while_it_was_read(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    """No push of this change is needed: the stream had told all until the proof, and nothing since it."""
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    async with running_fetcher(rig):
        rig.connect()
        await trio.sleep(0.1)
        rig.exchange.set("BTCUSDT", "0.7")
        changed = rig.clock.now()
        await trio.sleep(0.25)
        assert rig.book.get("BTCUSDT") is None
        rig.inbox.send(StreamProven(rig.epoch, rig.clock.now()))
        await trio.sleep(0.01)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.7")
        assert rig.snapshot("BTCUSDT").verified_by is VerifiedBy.STREAM
        assert rig.snapshot("BTCUSDT").verified_at > changed


async def test_a_position_that_no_read_can_date_is_not_read_in_haste_again_and_again(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    """It changes during every read: the second one, half a second later, shows that haste is of no use."""

    async def change() -> None:
        for number in range(1, 1000):
            rig.exchange.set("BTCUSDT", f"0.{number}")
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await trio.sleep(0.05)
        async with running_fetcher(rig):
            await trio.sleep(21)
            assert rig.book.get("BTCUSDT") is None
            assert len(rig.exchange.reads) == 6, "two at first, then one every five seconds"
        nursery.cancel_scope.cancel()


async def test_a_symbol_that_is_gone_is_not_read_in_haste(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("ETHUSDT", "1", update_time_ms=5)
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=rig.exchange.now_ms() + 3_600_000)
    async with running_fetcher(rig):
        await trio.sleep(0.4)
        del rig.exchange.rows["BTCUSDT"]
        await trio.sleep(20)
        assert len(rig.exchange.reads) <= 6
