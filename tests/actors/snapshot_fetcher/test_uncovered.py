"""Symbols without a fresh snapshot are named with the reason, in the book and in the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog.testing
import trio

from actors.snapshot_fetcher.read_schedule import Gap
from actors.snapshot_fetcher.uncovered import UncoveredSymbols
from channels import SnapshotBook
from clock import TrioClock
from exchange.errors import ExchangeUnavailable
from tests.actors.fetcher_rig import CADENCE, FetcherRig, running_fetcher, trusted_fetcher
from tests.virtual_time import virtual_time

pytestmark = virtual_time

Lines = list[Any]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Yields the lines of the log that name a fresh snapshot, as they are written."""
    with structlog.testing.capture_logs() as captured:
        yield captured


def about_snapshots(lines: Lines) -> list[tuple[str, str | None, str | None]]:
    named = [(line["event"], line.get("symbol"), line.get("why")) for line in lines]
    return [line for line in named if "resh snapshot" in line[0]]


async def test_a_symbol_that_reads_no_longer_show_is_named_until_one_shows_it(
    rig: FetcherRig, lines: Lines
) -> None:
    rig.exchange.set("BTCUSDT", "3", update_time_ms=5)
    rig.exchange.set("ETHUSDT", "1", update_time_ms=5)
    async with trusted_fetcher(rig):
        row = rig.exchange.rows.pop("BTCUSDT")
        await rig.prove_for(CADENCE.audit_sec)
        assert {s: each.why for s, each in rig.book.uncovered.items()} == {"BTCUSDT": Gap.MISSING}
        assert about_snapshots(lines) == [], "it may be an instant"
        await rig.prove_for(4)
        rig.exchange.rows["BTCUSDT"] = row
        await rig.prove_for(CADENCE.audit_sec)
        assert rig.book.uncovered == {}
    assert about_snapshots(lines) == [
        ("No fresh snapshot", "BTCUSDT", Gap.MISSING),
        ("Fresh snapshot again", "BTCUSDT", None),
    ]


async def test_a_symbol_that_audits_no_longer_reach_is_named(rig: FetcherRig, lines: Lines) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with trusted_fetcher(rig):
        rig.exchange.failure = ExchangeUnavailable("down")
        await rig.prove_for(CADENCE.audit_max_age_sec + 5)
    assert rig.book.uncovered["BTCUSDT"].why == Gap.AUDIT_OVERDUE
    assert about_snapshots(lines) == [("No fresh snapshot", "BTCUSDT", Gap.AUDIT_OVERDUE)]


async def test_a_position_that_is_dated_by_the_next_read_is_not_logged(rig: FetcherRig, lines: Lines) -> None:
    async with running_fetcher(rig):
        await trio.sleep(0.05)
        rig.exchange.set("BTCUSDT", "0.7")
        await trio.sleep(0.35)
        assert rig.book.uncovered["BTCUSDT"].why == Gap.AMBIGUOUS
        await trio.sleep(10)
    assert rig.book.uncovered == {} and about_snapshots(lines) == []


async def test_a_fault_of_every_symbol_is_a_bounded_number_of_lines(lines: Lines) -> None:
    book = SnapshotBook("book")
    uncovered = UncoveredSymbols(book, TrioClock(0), structlog.get_logger())
    for gap in (Gap.DISPUTED, None):
        for number in range(569):
            uncovered.set(f"S{number:03}USDT", gap)
        for _ in range(5):
            await trio.sleep(1)
            uncovered.log_changes()
    found = about_snapshots(lines)
    assert [symbol for _, symbol, _ in found] == [
        *(f"S{number:03}USDT" for number in range(20)), None,
    ] * 2  # fmt: skip
    assert book.uncovered == {}


async def test_candidates_alone_are_named_and_what_is_unreadable_is_named_elsewhere() -> None:
    book = SnapshotBook("book")
    uncovered = UncoveredSymbols(book, TrioClock(0), structlog.get_logger())
    uncovered.set("BTCUSDT", Gap.NO_CANDIDATE)
    book.set_unreadable("ETHUSDT", "no updateTime")
    uncovered.set("ETHUSDT", Gap.MISSING)
    assert book.uncovered == {}
