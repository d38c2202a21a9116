"""Losses of trust in the stream, and the snapshots that are trusted until it is proven again."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from channels import Conflating, Count, SetGauge, ShardMessage, StreamConnected, StreamProven
from exchange.errors import ExchangeUnavailable
from supervision import Heartbeat
from tests.actors.fetcher_rig import FetcherRig, diverged, running_fetcher, trusted_fetcher
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_after_a_loss_only_a_read_sent_later_is_trusted(trusted_rig: FetcherRig) -> None:
    trusted_rig.lose()
    await trio.sleep(0.01)
    assert not trusted_rig.book.is_trusted(trusted_rig.snapshot("BTCUSDT"))
    trusted_rig.exchange.set("BTCUSDT", "0.2")
    await trio.sleep(5.4)
    assert trusted_rig.book.is_trusted(trusted_rig.snapshot("BTCUSDT"))
    assert trusted_rig.snapshot("BTCUSDT").amount == Decimal("0.2")


async def test_a_change_while_disconnected_is_found_when_connected_again(trusted_rig: FetcherRig) -> None:
    trusted_rig.lose()
    trusted_rig.exchange.set("BTCUSDT", "0.2")
    await trio.sleep(0.1)
    trusted_rig.connect()
    await trio.sleep(0.4)
    assert trusted_rig.snapshot("BTCUSDT").amount == Decimal("0.2")
    assert trusted_rig.book.is_trusted(trusted_rig.snapshot("BTCUSDT"))


async def test_an_event_lost_silently_is_found_by_the_audit_and_costs_the_trust(
    trusted_rig: FetcherRig,
) -> None:
    trusted_rig.exchange.set("BTCUSDT", "0.1")  # and no push
    for _ in range(10):
        await trusted_rig.prove_for(1)
        if trusted_rig.snapshot("BTCUSDT").amount == Decimal("0.1"):
            break
    else:
        pytest.fail("not found within the stale threshold")
    await trio.sleep(1.1)
    assert Count("p33_stream_divergence_total") in await trusted_rig.metrics.receive_all()
    assert trusted_rig.book.trust_lost_at is not None
    await trusted_rig.prove_for(2)
    assert trusted_rig.age_sec("BTCUSDT") < 1.5, "trusted again, after another read"


async def test_a_read_that_a_push_explains_a_moment_later_is_no_divergence(trusted_rig: FetcherRig) -> None:
    await trusted_rig.prove_for(6)
    position = trusted_rig.exchange.set("BTCUSDT", "0.1")
    await trio.sleep(1.5)  # the audit has shown it
    assert trusted_rig.snapshot("BTCUSDT").amount == Decimal("0.1")
    trusted_rig.push("BTCUSDT", position)
    await trusted_rig.prove_for(3)
    assert Count("p33_stream_divergence_total") not in await trusted_rig.metrics.receive_all()


@pytest.mark.parametrize(("late_sec", "lost"), [(1.5, True), (3.2, False), (60.0, True)])
async def test_a_push_is_awaited_for_the_current_push_delay_up_to_5_s(
    rig: FetcherRig, late_sec: float, lost: bool
) -> None:
    """An exchange under load pushes late: that alone is no reason to give up its connection."""
    rig.push_delay_sec = late_sec
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    async with trusted_fetcher(rig):
        rig.exchange.reads.clear()
        while not rig.exchange.reads:
            rig.prove()
            await trio.sleep(0.05)
        position = rig.exchange.set("BTCUSDT", "0.1")
        await rig.prove_for(3)
        if late_sec > 5:
            await rig.prove_for(3)
        rig.push("BTCUSDT", position)
        await rig.prove_for(1)
        assert (rig.book.trust_lost_at is not None) is lost


async def test_without_an_audit_the_stream_is_trusted_for_a_limited_time(trusted_rig: FetcherRig) -> None:
    trusted_rig.exchange.failure = ExchangeUnavailable("down")
    await trusted_rig.prove_for(55)
    assert trusted_rig.age_sec("BTCUSDT") < 2
    await trusted_rig.prove_for(20)
    assert trusted_rig.age_sec("BTCUSDT") > 10


async def test_a_slow_answer_after_the_loss_takes_no_proof_back(trusted_rig: FetcherRig) -> None:
    trusted_rig.exchange.latency_sec = 2.0
    await trusted_rig.prove_for(8)
    proven = trusted_rig.snapshot("BTCUSDT").verified_at
    assert len(trusted_rig.exchange.reads) == 2, "an audit is on its way, sent before that proof"
    trusted_rig.lose()
    await trio.sleep(0.01)
    assert trusted_rig.snapshot("BTCUSDT").verified_at >= proven
    await trio.sleep(1.5)
    assert trusted_rig.snapshot("BTCUSDT").verified_at >= proven
    times = trusted_rig.store.times["BTCUSDT"]
    assert times == sorted(times)


async def test_a_read_that_a_lost_stream_cannot_explain_is_no_divergence(trusted_rig: FetcherRig) -> None:
    await trusted_rig.prove_for(6.6)
    trusted_rig.exchange.set("BTCUSDT", "0.1")
    await trio.sleep(0.8)
    assert trusted_rig.snapshot("BTCUSDT").amount == Decimal("0.1"), "the audit has shown it"
    trusted_rig.lose()
    await trio.sleep(5)
    assert Count("p33_stream_divergence_total") not in await trusted_rig.metrics.receive_all()


async def test_a_divergence_in_one_shard_ends_trust_in_all_until_they_are_read(rig: FetcherRig) -> None:
    inboxes: dict[str, Conflating[ShardMessage]] = {}
    async with trio.open_nursery() as nursery:
        for shard, symbol in enumerate(("AUSDT", "BUSDT")):
            rig.exchange.set(symbol, "1")
            inboxes[symbol] = Conflating(symbol, id)
            fetcher = rig.fetcher(shard=shard, is_mine=symbol.__eq__, inbox=inboxes[symbol])
            nursery.start_soon(fetcher.run, Heartbeat())
        await trio.sleep(1)
        for inbox in inboxes.values():
            inbox.send(StreamConnected(1, rig.clock.now()))
        await trio.sleep(1)

        async def prove() -> None:
            for inbox in inboxes.values():
                inbox.send(StreamProven(1, rig.clock.now().earlier_by(0.25)))
            await trio.sleep(0.05)

        for _ in range(60):
            await prove()
        rig.exchange.set("AUSDT", "2")  # and no push
        with trio.fail_after(15):
            while rig.book.trust_lost_at is None:
                await prove()
        rig.exchange.failure = ExchangeUnavailable("HTTP 502")
        for _ in range(100):
            await prove()
            for symbol in inboxes:
                assert not rig.book.is_trusted(rig.snapshot(symbol)), symbol
        rig.exchange.failure = None
        for _ in range(80):
            await prove()
        for symbol in inboxes:
            assert rig.book.is_trusted(rig.snapshot(symbol)), symbol
            assert rig.age_sec(symbol) < 1.5
            times = rig.store.times[symbol]
            assert times == sorted(times)
        nursery.cancel_scope.cancel()


async def test_the_stream_counts_as_trusted_again_once_it_is_proven_on_a_new_read(rig: FetcherRig) -> None:
    async def trusted_gauge() -> list[float]:
        events = await rig.metrics.receive_all()
        return [e.value for e in events if isinstance(e, SetGauge) and e.name == "p33_stream_trusted"]

    rig.exchange.set("BTCUSDT", "0.5")
    async with trusted_fetcher(rig):
        await trusted_gauge()
        rig.exchange.set("BTCUSDT", "0.1")  # and no push
        await diverged(rig)
        rig.exchange.failure = ExchangeUnavailable("HTTP 502")
        await rig.prove_for(3)
        assert (await trusted_gauge())[-1] == 0
        rig.exchange.failure = None
        await rig.prove_for(4)
        assert (await trusted_gauge())[-1] == 1


@pytest.mark.parametrize("loss", ["connection", "divergence"])
async def test_after_a_loss_a_push_is_trusted_only_with_a_later_read(rig: FetcherRig, loss: str) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with trusted_fetcher(rig):
        await rig.prove_for(3)
        if loss == "divergence":
            rig.exchange.set("BTCUSDT", "0.6")  # and no push
            await diverged(rig)
            rig.exchange.failure = ExchangeUnavailable("HTTP 502")
        else:
            rig.exchange.failure = ExchangeUnavailable("HTTP 502")
            rig.lose()
            await trio.sleep(0.5)
            rig.connect()
        await trio.sleep(0.5)
        rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", "0.7"))
        for _ in range(5):
            await rig.prove_for(1)
            assert not rig.book.is_trusted(rig.snapshot("BTCUSDT"))
        rig.exchange.failure = None
        await rig.prove_for(4)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.7")
        assert rig.book.is_trusted(rig.snapshot("BTCUSDT"))
        assert rig.age_sec("BTCUSDT") < 1.5
    times = rig.store.times["BTCUSDT"]
    assert times == sorted(times)


async def test_a_push_before_the_first_read_of_a_session_is_not_covered(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.failure = ExchangeUnavailable("HTTP 502")
        rig.connect()
        await trio.sleep(0.1)
        rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", "0.7"))
        await rig.prove_for(5)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.7")
        assert rig.age_sec("BTCUSDT") == pytest.approx(5, abs=0.01)
