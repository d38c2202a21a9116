"""Snapshots follow the exchange: from the stream while it is proven, by REST otherwise."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from brain.position import VerifiedBy
from channels import (
    Conflating,
    Count,
    LeverageObserved,
    OnDemandRead,
    SetGauge,
    ShardMessage,
    StreamConnected,
    StreamProven,
)
from exchange.errors import ExchangeUnavailable
from supervision import Heartbeat
from tests.actors.fetcher_rig import FetcherRig, running_fetcher
from tests.integration.waiting import until


@pytest.fixture
def rig() -> FetcherRig:
    return FetcherRig()


async def trusted(rig: FetcherRig) -> None:
    """Connected, read once, and proven."""
    rig.connect()
    await trio.sleep(1)
    rig.prove()
    await trio.sleep(0.01)


async def diverged(rig: FetcherRig) -> None:
    """The stream is proven on, until an audit has found what it did not tell."""
    with trio.fail_after(15):
        while rig.book.trust_lost_at is None:
            rig.prove()
            await trio.sleep(0.05)


async def test_the_first_read_gives_every_symbol_a_snapshot_as_of_its_sending(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    rig.exchange.set("ETHUSDT", "0", update_time_ms=0)
    async with running_fetcher(rig):
        await trio.sleep(0.31)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.5")
        assert rig.snapshot("BTCUSDT").verified_by is VerifiedBy.REST
        assert rig.age_sec("ETHUSDT") == pytest.approx(0.31, abs=0.002)
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "0.5"


async def test_without_a_stream_positions_are_polled(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(16)
    assert len(rig.exchange.reads) == 4, "at 0, 5, 10 and 15 s"


async def test_a_proven_stream_keeps_quiet_symbols_fresh_without_reads(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        reads = len(rig.exchange.reads)
        for _ in range(6):
            await rig.prove_for(1)
            assert rig.age_sec("BTCUSDT") < 1.5
        assert len(rig.exchange.reads) == reads
        assert rig.snapshot("BTCUSDT").verified_by is VerifiedBy.STREAM
        assert rig.store.hashes["BTCUSDT"]["verified_by"] == "stream"


async def test_a_trusted_stream_is_audited_at_its_own_pace(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        reads = len(rig.exchange.reads)
        await rig.prove_for(25)
        assert len(rig.exchange.reads) - reads == 3


async def test_a_push_is_in_book_and_redis_without_a_read(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        reads = len(rig.exchange.reads)
        rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", "-0.7"))
        await trio.sleep(0.01)
        assert rig.snapshot("BTCUSDT").amount == Decimal("-0.7")
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "-0.7"
        assert rig.store.hashes["BTCUSDT"]["side"] == "SHORT"
        assert len(rig.exchange.reads) == reads


async def test_a_late_rest_answer_never_overwrites_a_newer_push(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    rig.exchange.latency_sec = 0.8
    async with running_fetcher(rig):
        rig.connect()
        await trio.sleep(0.5)  # the answer of 0.4 s is on its way
        rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", "0.9"))
        await trio.sleep(0.35)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.9")


async def test_proofs_count_only_after_a_read_sent_since_the_connection_stands(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.failure = ExchangeUnavailable("down")
        rig.connect()
        await trio.sleep(0.1)
        await rig.prove_for(5)
        assert rig.age_sec("BTCUSDT") > 5, "the base is older than the connection"
        rig.exchange.failure = None
        await trio.sleep(2)
        rig.prove()
        await trio.sleep(0.01)
        assert rig.age_sec("BTCUSDT") < 1


async def test_after_a_loss_only_a_read_sent_later_is_believed(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        rig.lose()
        await trio.sleep(0.01)
        assert not rig.book.believed(rig.snapshot("BTCUSDT"))
        rig.exchange.set("BTCUSDT", "0.2")
        await trio.sleep(5.4)
        assert rig.book.believed(rig.snapshot("BTCUSDT"))
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.2")


async def test_a_change_while_disconnected_is_found_when_connected_again(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        rig.lose()
        rig.exchange.set("BTCUSDT", "0.2")
        await trio.sleep(0.1)
        rig.connect()
        await trio.sleep(0.4)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.2")
        assert rig.book.believed(rig.snapshot("BTCUSDT"))


async def test_an_event_lost_silently_is_found_by_the_audit_and_costs_the_trust(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        rig.exchange.set("BTCUSDT", "0.1")  # and no push
        for _ in range(10):
            await rig.prove_for(1)
            if rig.snapshot("BTCUSDT").amount == Decimal("0.1"):
                break
        else:
            pytest.fail("not found within the stale threshold")
        await trio.sleep(1.1)
        assert Count("p33_stream_divergence_total") in await rig.metrics.receive_all()
        assert rig.book.trust_lost_at is not None
        await rig.prove_for(2)
        assert rig.age_sec("BTCUSDT") < 1.5, "trusted again, after another read"


async def test_a_read_that_shows_what_a_push_tells_a_moment_later_is_no_divergence(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        await rig.prove_for(6)
        position = rig.exchange.set("BTCUSDT", "0.1")
        await trio.sleep(1.5)  # the audit has shown it
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.1")
        rig.push("BTCUSDT", position)
        await rig.prove_for(3)
        assert Count("p33_stream_divergence_total") not in await rig.metrics.receive_all()


async def test_a_fill_without_its_account_update_makes_positions_be_read(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        reads = len(rig.exchange.reads)
        rig.exchange.set("BTCUSDT", "1.5")
        rig.push_fill("BTCUSDT", rig.exchange.now_ms())
        await trio.sleep(0.9)
        assert len(rig.exchange.reads) == reads
        await trio.sleep(0.5)
        assert len(rig.exchange.reads) == reads + 1
        assert rig.snapshot("BTCUSDT").amount == Decimal("1.5")


@pytest.mark.parametrize("fill_first", [True, False])
async def test_a_fill_with_its_account_update_makes_nothing_be_read(
    rig: FetcherRig, autojump_clock: MockClock, fill_first: bool
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        reads = len(rig.exchange.reads)
        position = rig.exchange.set("BTCUSDT", "1.5")
        if fill_first:
            rig.push_fill("BTCUSDT", position.update_time_ms)
        rig.push("BTCUSDT", position)
        if not fill_first:
            rig.push_fill("BTCUSDT", position.update_time_ms)
        await rig.prove_for(3)
        assert len(rig.exchange.reads) == reads


async def test_without_an_audit_the_stream_is_believed_for_a_limited_time(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        rig.exchange.failure = ExchangeUnavailable("down")
        await rig.prove_for(55)
        assert rig.age_sec("BTCUSDT") < 2
        await rig.prove_for(20)
        assert rig.age_sec("BTCUSDT") > 10


async def test_an_exchange_that_is_away_for_half_a_day_is_asked_on_and_read_when_it_is_back(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.failure = ExchangeUnavailable("down")
        await trio.sleep(12 * 3600)
        assert len(rig.exchange.reads) > 10_000
        rig.exchange.set("BTCUSDT", "1.5")
        rig.exchange.failure = None
        await trio.sleep(3)
        assert rig.snapshot("BTCUSDT").amount == Decimal("1.5")


async def test_an_on_demand_read_answers_its_caller_with_the_book_filled(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.set("BTCUSDT", "0.3")
        reply, answer = trio.open_memory_channel[str | None](1)
        await rig.on_demand.send(OnDemandRead("BTCUSDT", "plan", trio.current_time() + 1, reply))
        assert await answer.receive() is None
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.3")
        assert rig.snapshot("BTCUSDT").verified_by is VerifiedBy.ONDEMAND
        assert rig.exchange.reads[-1] == "BTCUSDT"


@pytest.mark.parametrize(
    ("latency_sec", "failure", "why"),
    [(5.0, None, "no answer in time"), (0.1, ExchangeUnavailable("HTTP 502"), "HTTP 502")],
)
async def test_an_on_demand_read_that_fails_says_why(
    rig: FetcherRig,
    autojump_clock: MockClock,
    latency_sec: float,
    failure: ExchangeUnavailable | None,
    why: str,
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.latency_sec, rig.exchange.failure = latency_sec, failure
        reply, answer = trio.open_memory_channel[str | None](1)
        await rig.on_demand.send(OnDemandRead("BTCUSDT", "plan", trio.current_time() + 1, reply))
        assert await answer.receive() == why


@pytest.mark.parametrize(("changes", "why"), [(1, None), (2, "it changed each time while it was read")])
async def test_what_changes_during_an_on_demand_read_is_read_once_more(
    rig: FetcherRig, autojump_clock: MockClock, changes: int, why: str | None
) -> None:
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.reads.clear()
        reply, answer = trio.open_memory_channel[str | None](1)
        await rig.on_demand.send(OnDemandRead("BTCUSDT", "plan", trio.current_time() + 1, reply))
        for number in range(1, changes + 1):
            await until(lambda number=number: rig.exchange.reads.count("BTCUSDT") == number, "a read")  # type: ignore[misc]
            await trio.sleep(0.05)
            rig.exchange.set("BTCUSDT", f"0.{number}")
        assert await answer.receive() == why
        assert rig.exchange.reads.count("BTCUSDT") == 2
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.1" if why is None else "0.5")


async def test_what_redis_could_not_take_is_written_when_it_is_back(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    rig.store.away = True
    async with running_fetcher(rig):
        await trusted(rig)
        rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", "0.6"))
        await trio.sleep(1)
        assert rig.store.hashes == {}
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.6"), "decisions see it all the same"
        rig.store.away = False
        await trio.sleep(0.2)
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "0.6"


async def test_written_snapshots_never_go_back_in_time(rig: FetcherRig, autojump_clock: MockClock) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rig.exchange.set(symbol, "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        for step in range(40):
            if step % 3 == 0:
                rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", str(step)))
            if step % 11 == 0:
                rig.lose()
                rig.connect()
            rig.prove()
            await trio.sleep(0.5)
    for times in rig.store.times.values():
        assert times == sorted(times)


async def test_a_restarted_fetcher_begins_with_a_read_and_trusts_later_proofs(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
    rig.exchange.set("BTCUSDT", "0.4")
    async with running_fetcher(rig):
        await trio.sleep(0.4)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.4")
        await rig.prove_for(3)
        assert rig.age_sec("BTCUSDT") < 1.5


async def test_what_was_proven_stays_proven_when_a_slow_answer_comes_after_the_loss(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        rig.exchange.latency_sec = 2.0
        await rig.prove_for(8)
        proven = rig.snapshot("BTCUSDT").verified_at
        assert len(rig.exchange.reads) == 2, "an audit is on its way, sent before that proof"
        rig.lose()
        await trio.sleep(0.01)
        assert rig.snapshot("BTCUSDT").verified_at >= proven
        await trio.sleep(1.5)
        assert rig.snapshot("BTCUSDT").verified_at >= proven
        times = rig.store.times["BTCUSDT"]
        assert times == sorted(times)


async def test_a_read_that_the_lost_stream_can_no_longer_explain_is_no_divergence(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        await rig.prove_for(6.6)
        rig.exchange.set("BTCUSDT", "0.1")
        await trio.sleep(0.8)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.1"), "the audit has shown it"
        rig.lose()
        await trio.sleep(5)
        assert Count("p33_stream_divergence_total") not in await rig.metrics.receive_all()


async def test_leverage_is_what_was_told_last(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    rig.exchange.latency_sec = 0.8
    async with running_fetcher(rig):
        rig.inbox.send(LeverageObserved("BTCUSDT", Decimal(25), rig.clock.now()))
        await trio.sleep(1)
        assert rig.snapshot("BTCUSDT").leverage == 25, "the read was sent before this was told"
        assert rig.store.hashes["BTCUSDT"]["leverage"] == "25"
        await trio.sleep(6)
        assert rig.snapshot("BTCUSDT").leverage == 10
        rig.inbox.send(LeverageObserved("BTCUSDT", Decimal(3), rig.clock.now()))
        await trio.sleep(0.01)
        assert rig.store.hashes["BTCUSDT"]["leverage"] == "3"


async def test_a_burst_of_fills_is_in_redis_once_and_in_the_book_at_once(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        written = len(rig.store.times["BTCUSDT"])
        for step in range(1, 6):
            rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", str(step), rig.exchange.now_ms() + step))
            await trio.sleep(0.0004)
            assert rig.snapshot("BTCUSDT").amount == step
        await trio.sleep(0.01)
        assert len(rig.store.times["BTCUSDT"]) == written + 1
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "5"


async def test_a_divergence_in_one_shard_ends_the_belief_in_all_until_they_are_read(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
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
                assert not rig.book.believed(rig.snapshot(symbol)), symbol
        rig.exchange.failure = None
        for _ in range(80):
            await prove()
        for symbol in inboxes:
            assert rig.book.believed(rig.snapshot(symbol)), symbol
            assert rig.age_sec(symbol) < 1.5
            times = rig.store.times[symbol]
            assert times == sorted(times)
        nursery.cancel_scope.cancel()


async def test_the_stream_counts_as_trusted_again_once_it_is_proven_on_a_new_read(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    async def told() -> list[float]:
        events = await rig.metrics.receive_all()
        return [e.value for e in events if isinstance(e, SetGauge) and e.name == "p33_stream_trusted"]

    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        await told()
        rig.exchange.set("BTCUSDT", "0.1")  # and no push
        await diverged(rig)
        rig.exchange.failure = ExchangeUnavailable("HTTP 502")
        await rig.prove_for(3)
        assert (await told())[-1] == 0
        rig.exchange.failure = None
        await rig.prove_for(4)
        assert (await told())[-1] == 1


async def test_of_two_fills_the_one_whose_update_is_lost_makes_positions_be_read(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
        first = rig.exchange.set("BTCUSDT", "1.0")
        await trio.sleep(0.01)
        second = rig.exchange.set("BTCUSDT", "1.5")
        for fill in (first, second):
            rig.push_fill("BTCUSDT", fill.update_time_ms)
        rig.push("BTCUSDT", first)
        await trio.sleep(1.5)
        assert rig.snapshot("BTCUSDT").amount == Decimal("1.5")


@pytest.mark.parametrize("loss", ["connection", "divergence"])
async def test_after_a_loss_a_push_is_believed_only_with_a_read_that_was_sent_later(
    rig: FetcherRig, autojump_clock: MockClock, loss: str
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trusted(rig)
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
            assert not rig.book.believed(rig.snapshot("BTCUSDT"))
        rig.exchange.failure = None
        await rig.prove_for(4)
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.7")
        assert rig.book.believed(rig.snapshot("BTCUSDT"))
        assert rig.age_sec("BTCUSDT") < 1.5
    times = rig.store.times["BTCUSDT"]
    assert times == sorted(times)


async def test_a_push_from_before_the_first_read_of_a_connection_is_not_vouched_for(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
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
