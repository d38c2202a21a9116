"""Positions that change while they are read: no answer shows since when they are true."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from brain.positions.position import VerifiedBy
from channels import StreamProven
from tests.actors.fetcher_rig import FetcherRig, running_fetcher, trusted, trusted_fetcher
from tests.background import background
from tests.integration.waiting import until
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.mark.parametrize("before", [None, "0.5"])
async def test_a_position_that_changed_while_it_was_read_is_published_by_the_next_read(
    rig: FetcherRig, before: str | None
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


async def test_the_stream_never_extends_a_snapshot_that_a_read_has_outdated(rig: FetcherRig) -> None:
    """The audit shows a change of this moment, and its event is lost: proofs may not renew the old amount."""
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    async with trusted_fetcher(rig):
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


async def test_a_proof_publishes_a_position_that_changed_while_it_was_read(rig: FetcherRig) -> None:
    """No push of this change is needed: the stream had pushed all until the proof, and nothing since it."""
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


async def test_a_position_that_changes_during_every_read_is_read_early_only_once(rig: FetcherRig) -> None:
    """The second read, half a second later, is ambiguous too: the interval applies from then on."""

    async def change() -> None:
        for number in range(1, 1000):
            rig.exchange.set("BTCUSDT", f"0.{number}")
            await trio.sleep(0.1)

    async with background(change):
        await trio.sleep(0.05)
        async with running_fetcher(rig):
            await trio.sleep(21)
            assert rig.book.get("BTCUSDT") is None
            assert len(rig.exchange.reads) == 6, "two at first, then one every five seconds"


async def test_a_symbol_that_the_exchange_no_longer_shows_is_not_read_early(rig: FetcherRig) -> None:
    rig.exchange.set("ETHUSDT", "1", update_time_ms=5)
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=rig.exchange.now_ms() + 3_600_000)
    async with running_fetcher(rig):
        await trio.sleep(0.4)
        del rig.exchange.rows["BTCUSDT"]
        await trio.sleep(20)
        assert len(rig.exchange.reads) <= 6
