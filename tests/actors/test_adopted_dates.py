"""Adopted rows without a date, or dated ahead of the exchange's clock: each fill counts once."""

from __future__ import annotations

import pytest
import trio

from brain.positions.merging import apply_rest
from brain.positions.symbol_state import SymbolState, to_snapshot
from channels import BookEntry
from clocks.clocks import Clocks
from tests.actors.dictated_exchange import EPOCH_MS
from tests.actors.ledger_rig import LedgerRig, running_writer
from tests.actors.ledger_writer.test_unknown_outcomes import OURS, unknown_close
from tests.virtual_time import virtual_time

pytestmark = virtual_time

SYMBOL = "BTCUSDT"
HOUR_MS = 3_600_000
MARK = "D|BOTH|close|SELL|0"


class DatedRig(LedgerRig):
    """A ledger writer beside an exchange whose clock can be set, with a position of 4."""

    def __init__(self) -> None:
        super().__init__()
        self._known = SymbolState(SYMBOL)
        self.clocks = Clocks(self.clock, self.exchange)
        self.exchange.set(SYMBOL, "4", update_time_ms=EPOCH_MS - 60_000)
        self.redis.set(self.keys.plan_mark("plan"), MARK)
        self.observe(SYMBOL)

    def read(self) -> None:
        """Merge a read of the position with those before it, and publish the snapshot."""
        now, row = self.clock.now(), self.exchange.row(SYMBOL)
        self._known, _ = apply_rest(
            self._known,
            [row.position],
            leverage=row.leverage,
            mark_price=row.mark_price,
            sent=now,
            received=now,
            not_after_ms=self.clocks.exchange.latest_date_ms(now),
        )
        snapshot = to_snapshot(self._known, None)
        assert snapshot is not None
        self.book.publish(0, BookEntry(snapshot, None))


async def adopt_dated_ahead(rig: DatedRig, ahead_ms: int) -> None:
    """Buy 1, with fill and row dated ahead, and adopt the ledger from that row."""
    rig.exchange.ahead_ms += ahead_ms
    rig.exchange.fill(SYMBOL, "1", "BUY", "1")
    rig.exchange.ahead_ms -= ahead_ms
    rig.read()
    await adopt_again(rig)


async def evict_ledger(rig: DatedRig) -> None:
    """Delete the ledger, and wait until it is adopted again, as the position is now."""
    rig.observe(SYMBOL)
    await adopt_again(rig)


async def adopt_again(rig: DatedRig) -> None:
    """Delete the ledger, and wait until it is adopted again, by the last snapshot."""
    rig.redis.delete(rig.keys.ledger(SYMBOL))
    with trio.fail_after(10):
        while rig.amount(SYMBOL) is None:  # noqa: ASYNC110 - Redis has no event
            await trio.sleep(0.1)


@pytest.mark.parametrize("pushed", [True, False])
async def test_a_flat_row_without_a_date_contains_the_fill_that_closed_the_position(pushed: bool) -> None:
    rig = DatedRig()
    async with running_writer(rig):
        await trio.sleep(1)
        rig.exchange.fill(SYMBOL, "1", "SELL", "4")
        rig.exchange.set(SYMBOL, "0", update_time_ms=0)
        await trio.sleep(0.5)
        await evict_ledger(rig)
        if pushed:
            rig.push_fill(SYMBOL, "1", "SELL")
        rig.publish_result(SYMBOL, "1", "SELL", "4")
        await trio.sleep(5)
        assert (rig.amount(SYMBOL), rig.pending()) == ("0", 0)


async def test_a_fill_after_a_flat_row_without_a_date_was_seen_counts() -> None:
    rig = DatedRig()
    rig.exchange.set(SYMBOL, "0", update_time_ms=0)
    async with running_writer(rig):
        await trio.sleep(1)
        await evict_ledger(rig)
        await trio.sleep(1)
        rig.exchange.fill(SYMBOL, "1", "SELL", "1")
        rig.publish_result(SYMBOL, "1", "SELL", "1")
        await trio.sleep(5)
        assert (rig.amount(SYMBOL), rig.pending()) == ("-1", 0)


@pytest.mark.parametrize(
    ("for_the_first_fill_ms", "before_the_adoption_ms", "after_it_ms"),
    [
        pytest.param(0, -HOUR_MS, 0, id="set back before the adoption"),
        pytest.param(0, 0, -HOUR_MS, id="set back after the adoption"),
        pytest.param(5_000, -5_000, 0, id="ahead for the first fill alone"),
    ],
)
async def test_an_adopted_row_contains_its_own_fill_and_no_later_one_wherever_the_exchanges_clock_steps(
    for_the_first_fill_ms: int, before_the_adoption_ms: int, after_it_ms: int
) -> None:
    rig = DatedRig()
    async with running_writer(rig):
        await trio.sleep(1)
        rig.exchange.ahead_ms += for_the_first_fill_ms
        rig.exchange.fill(SYMBOL, "1", "BUY", "1")
        await trio.sleep(1)
        rig.exchange.ahead_ms += before_the_adoption_ms
        await evict_ledger(rig)
        rig.exchange.ahead_ms += after_it_ms
        await trio.sleep(1)
        rig.exchange.fill(SYMBOL, "2", "SELL", "2")
        rig.publish_result(SYMBOL, "1", "BUY", "1", plan_id="other")
        rig.publish_result(SYMBOL, "2", "SELL", "2")
        await trio.sleep(5)
        assert (rig.amount(SYMBOL), rig.pending()) == ("3", 0)


@pytest.mark.parametrize("ahead_ms", [5_000, HOUR_MS, EPOCH_MS * 999])
@pytest.mark.parametrize("known_before", [True, False])
async def test_a_row_that_was_ordered_by_another_date_contains_its_own_change(
    known_before: bool, ahead_ms: int
) -> None:
    rig = DatedRig()
    async with running_writer(rig):
        await trio.sleep(1)
        if known_before:
            rig.read()
        await trio.sleep(0.1)
        await adopt_dated_ahead(rig, ahead_ms)
        rig.publish_result(SYMBOL, "1", "BUY", "1", plan_id="other")
        await trio.sleep(5)
        assert (rig.amount(SYMBOL), rig.pending()) == ("5", 0)


async def test_a_fill_soon_after_an_adopted_row_dated_ahead_counts_with_a_clock_known_roughly() -> None:
    rig = DatedRig()
    rig.exchange.misjudged_ms = 900
    async with running_writer(rig):
        await trio.sleep(1)
        await adopt_dated_ahead(rig, HOUR_MS)
        await trio.sleep(0.3)
        rig.exchange.fill(SYMBOL, "2", "SELL", "2")
        rig.push_fill(SYMBOL, "2", "SELL")
        rig.publish_result(SYMBOL, "2", "SELL", "2")
        await trio.sleep(5)
        assert (rig.amount(SYMBOL), rig.pending()) == ("3", 0)


async def test_an_unknown_outcome_is_booked_though_the_exchanges_clock_was_set_back() -> None:
    rig = DatedRig()
    async with running_writer(rig):
        await trio.sleep(70)
        rig.exchange.ahead_ms -= HOUR_MS
        rig.exchange.fill(SYMBOL, "9", "SELL", "3")
        await unknown_close(rig)
        rig.push_fill(SYMBOL, "9", "SELL", client_order_id=OURS)
        await trio.sleep(2)
        assert rig.amount(SYMBOL) == "1"
