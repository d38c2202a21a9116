"""Positions that the exchange no longer shows, though every date says otherwise."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from brain.positions.position import Leg, LegPosition
from channels import StreamProven
from tests.actors.fetcher_rig import CADENCE, FetcherRig, running_fetcher, trusted, trusted_fetcher
from tests.virtual_time import virtual_time

pytestmark = virtual_time

STALE_SEC = 10.0


def trusted_amount(rig: FetcherRig) -> Decimal | None:
    """Return the amount that a decision could rest on now; None: there is none."""
    snapshot = rig.book.get("BTCUSDT")
    if snapshot is None or not rig.book.is_trusted(snapshot):
        return None
    return snapshot.amount if snapshot.verified_at.age_sec(rig.clock.now()) <= STALE_SEC else None


async def watch(rig: FetcherRig, *, stream: bool, truth: Decimal) -> tuple[float, float]:
    """Seconds until the wrong amount is relied on no more, and until the right one is, for good."""
    began = trio.current_time()
    wrong_sec = right_sec = 0.0
    while trio.current_time() < began + 3 * CADENCE.audit_sec:
        if stream:
            rig.inbox.send(StreamProven(rig.epoch, rig.clock.now().earlier_by(0.25)))
        await trio.sleep(0.1)
        amount = trusted_amount(rig)
        if amount not in (None, truth):
            wrong_sec = trio.current_time() - began
        if amount != truth:
            right_sec = trio.current_time() - began
    return wrong_sec, right_sec


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "polling"])
@pytest.mark.parametrize("back_ms", [3_000, 60_000, 3_600_000, 1_700_000_000_000])
async def test_a_wiped_account_is_right_again_within_two_audits(
    rig: FetcherRig, back_ms: int, stream: bool
) -> None:
    rig.exchange.set("BTCUSDT", "3")
    async with running_fetcher(rig):
        if stream:
            await trusted(rig)
        await trio.sleep(2)
        rig.exchange.set("BTCUSDT", "0", update_time_ms=max(0, rig.exchange.now_ms() - back_ms))
        wrong_sec, right_sec = await watch(rig, stream=stream, truth=Decimal(0))
    assert wrong_sec <= STALE_SEC
    assert right_sec <= 2 * CADENCE.audit_sec


@pytest.mark.parametrize("ahead_ms", [5_000, 3_600_000, 1_700_000_000_000_000])
async def test_an_event_dated_ahead_is_resolved_by_a_read_and_pins_nothing(
    rig: FetcherRig, ahead_ms: int
) -> None:
    rig.exchange.set("BTCUSDT", "3", update_time_ms=5)
    async with trusted_fetcher(rig):
        now_ms = rig.exchange.now_ms()
        rig.exchange.set("BTCUSDT", "1", update_time_ms=now_ms)
        rig.push("BTCUSDT", LegPosition(Leg.BOTH, Decimal(1), Decimal(100), now_ms + ahead_ms))
        wrong_sec, right_sec = await watch(rig, stream=True, truth=Decimal(1))
        assert wrong_sec == 0 and right_sec <= 2
        assert rig.book.trust_lost_at is None
        await trio.sleep(1)
        rig.exchange.set("BTCUSDT", "2")
        rig.push("BTCUSDT", rig.exchange.row("BTCUSDT").position)
        await trio.sleep(0.01)
        assert trusted_amount(rig) == 2


@pytest.mark.parametrize("back_ms", [1_500, 60_000, 3_600_000])
async def test_events_of_a_clock_that_was_set_back_cost_each_symbol_a_read_and_no_trust(
    rig: FetcherRig, back_ms: int
) -> None:
    rig.exchange.set("BTCUSDT", "3")
    async with trusted_fetcher(rig):
        await trio.sleep(1)
        date_ms = rig.exchange.now_ms() - back_ms
        rig.exchange.set("BTCUSDT", "1", update_time_ms=date_ms)
        rig.push("BTCUSDT", rig.exchange.row("BTCUSDT").position)
        wrong_sec, right_sec = await watch(rig, stream=True, truth=Decimal(1))
        assert wrong_sec <= 0.2 and right_sec <= 3
        assert rig.book.trust_lost_at is None, "the stream pushed what the read showed"
        rig.exchange.set("BTCUSDT", "2", update_time_ms=date_ms + 500)
        rig.push("BTCUSDT", rig.exchange.row("BTCUSDT").position)
        await trio.sleep(0.01)
        assert trusted_amount(rig) == 2


async def test_a_contradicted_snapshot_is_not_written_any_more(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "3")
    async with trusted_fetcher(rig):
        await trio.sleep(2)
        rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
        while not rig.book.is_disputed("BTCUSDT"):
            rig.prove()
            await trio.sleep(0.05)
        last = rig.store.hashes["BTCUSDT"]["ts_epoch_ms"]
        while rig.book.is_disputed("BTCUSDT"):
            rig.prove()
            await trio.sleep(0.05)
            written = rig.store.hashes["BTCUSDT"]
            assert written["position_amt"] == "0" or written["ts_epoch_ms"] == last
        await trio.sleep(0.2)
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "0"


async def test_a_symbol_that_reads_no_longer_show_is_not_relied_on(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "3", update_time_ms=5)
    rig.exchange.set("ETHUSDT", "1", update_time_ms=5)
    async with trusted_fetcher(rig):
        row = rig.exchange.rows.pop("BTCUSDT")
        await trio.sleep(CADENCE.audit_sec + 1)
        rig.prove()
        await trio.sleep(0.1)
        assert trusted_amount(rig) is None
        assert rig.age_sec("ETHUSDT") < 1
        rig.exchange.rows["BTCUSDT"] = row
        await trio.sleep(CADENCE.audit_sec + 1)
        assert trusted_amount(rig) == 3
