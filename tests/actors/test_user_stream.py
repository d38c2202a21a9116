"""The private stream's promises, in virtual time, with an exchange written down by each test."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.user_stream import LISTEN_KEY_TRUSTED_SEC, ROTATE_AFTER_SEC
from channels import (
    Count,
    FillObserved,
    PositionObserved,
    SetGauge,
    StreamConnected,
    StreamLost,
    StreamProven,
)
from exchange.errors import ExchangeRejected, ExchangeUnavailable, ListenKeyUnknown, RateLimited
from tests.actors.stream_fakes import FakeBinance, FakeConnection, SleepyClock, account_update, order_fill
from tests.actors.stream_rig import SHARDS, StreamRig, shard_of

HOUR_SEC = 3600.0


@pytest.fixture
def clock() -> SleepyClock:
    return SleepyClock()


@pytest.fixture
def binance(clock: SleepyClock) -> FakeBinance:
    return FakeBinance(clock)


@pytest.fixture
def rig(binance: FakeBinance, clock: SleepyClock) -> StreamRig:
    return StreamRig(binance, binance, clock)


@pytest.fixture
def patient_rig(binance: FakeBinance, clock: SleepyClock) -> StreamRig:
    """Pings seldom: for tests that last a day."""
    return StreamRig(binance, binance, clock, proof_sec=20.0, within_sec=36 * HOUR_SEC)


async def gauge(rig: StreamRig) -> float | None:
    values = [event.value for event in await rig.metrics.receive_all() if isinstance(event, SetGauge)]
    return values[-1] if values else None


async def test_every_shard_hears_of_the_connection_before_the_first_proof(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        proven = await rig.tells(StreamProven)
        for shard in range(SHARDS):
            connected, first = rig.told[shard][:2]
            assert isinstance(connected, StreamConnected)
            assert connected.epoch == proven.epoch == 1
            assert connected.since.monotonic_sec >= line.opened_sec
            assert first == proven


async def test_a_proof_reaches_to_when_its_ping_was_sent_less_the_allowance(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        third = await rig.tells(StreamProven, 3)
        assert third.as_of.monotonic_sec == pytest.approx(line.opened_sec + 2.0 - 0.25)
        assert third.as_of.wall_ms == pytest.approx(
            binance.clock.epoch_ms + third.as_of.monotonic_sec * 1000, abs=1
        )
        assert rig.status.value is not None
        assert rig.status.value.proven_as_of == third.as_of
        assert await gauge(rig) == 1


async def test_what_was_told_before_a_pong_is_handed_on_before_its_proof(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        proofs = 0
        for amount in range(1, 40):
            for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT"):
                line.tell(account_update(symbol, str(amount), binance.true_ms()))
            told_sec = trio.current_time()
            await trio.sleep(0.13)
            for shard in range(SHARDS):
                for place, message in enumerate(rig.told[shard]):
                    if isinstance(message, StreamProven) and message.as_of.monotonic_sec >= told_sec:
                        seen = [
                            earlier.position.amount
                            for earlier in rig.told[shard][:place]
                            if isinstance(earlier, PositionObserved)
                        ]
                        assert amount in seen
                        proofs += 1
        await rig.tells(StreamProven, 4)


async def test_a_burst_that_waits_when_the_pong_comes_is_handed_on_first(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        await rig.tells(StreamProven, 1)
        # The next ping goes out a second after the first; its pong comes 0.1 s later, right behind this.
        await trio.sleep_until(line.opened_sec + 1.0999)
        for amount in range(300):
            line.tell(account_update("BTCUSDT", str(amount), binance.true_ms()))
        shard = shard_of("BTCUSDT")
        proof = await rig.tells(StreamProven, 2, shard)
        told = rig.told[shard]
        before = [message for message in told[: told.index(proof)] if isinstance(message, PositionObserved)]
        assert len(before) == 300


async def test_positions_go_to_their_shard_and_fills_also_to_the_ledger(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        line.tell(account_update("BTCUSDT", "-0.5", binance.true_ms()))
        line.tell(order_fill("ETHUSDT", 7, "1.5", binance.true_ms()))
        position = await rig.tells(PositionObserved, shard=shard_of("BTCUSDT"))
        fill = await rig.tells(FillObserved, shard=shard_of("ETHUSDT"))
        assert (position.symbol, str(position.position.amount)) == ("BTCUSDT", "-0.5")
        assert await rig.fills.receive_all() == [fill]
        elsewhere = [
            message
            for shard in range(SHARDS)
            for message in rig.told[shard]
            if isinstance(message, PositionObserved | FillObserved)
        ]
        assert len(elsewhere) == 2


async def test_a_late_pong_loses_trust_at_two_proof_intervals_and_a_new_period_begins(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        await rig.tells(StreamProven, 2)
        line.round_trip_sec = 2.5
        lost = await rig.tells(StreamLost)
        assert lost.at.monotonic_sec == pytest.approx(line.opened_sec + 2.0 + 2.0)
        assert lost.epoch == 1
        assert rig.book.trust_lost_at == lost.at
        assert all(rig.all_told(StreamLost, shard) == [lost] for shard in range(SHARDS))
        assert await gauge(rig) == 0
        connected = await rig.tells(StreamConnected, 2)
        assert connected.epoch == 2
        proven = await rig.tells(StreamProven, 3)
        assert proven.epoch == 2
        assert line.closed_sec == lost.at.monotonic_sec


async def test_a_pong_that_took_a_suspended_host_too_long_is_late_as_well(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance, clock: SleepyClock
) -> None:
    async with rig.running():
        line = await binance.connected()
        await rig.tells(StreamProven, 2)
        await trio.sleep_until(line.opened_sec + 2.05)
        clock.suspend(30)
        lost = await rig.tells(StreamLost)
        assert lost.at.monotonic_sec == pytest.approx(line.opened_sec + 2.1)


async def test_a_frozen_socket_is_noticed_within_three_proof_intervals(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        for period in range(1, 6):
            line = await binance.connected(period)
            await rig.tells(StreamProven, len(rig.all_told(StreamProven)) + 2)
            await trio.sleep(period * 0.17)
            line.frozen = True
            frozen_sec = trio.current_time()
            lost = await rig.tells(StreamLost, period)
            assert 0 < lost.at.monotonic_sec - frozen_sec <= 3.0


@pytest.mark.parametrize(
    ("payload", "counted"),
    [
        (b"not json", "unreadable"),
        (b'{"e":"ACCOUNT_UPDATE","T":"soon"}', "unreadable"),
        (b'{"e":"listenKeyExpired","E":"1736996475556","listenKey":"key-1"}', "listenKeyExpired"),
    ],
)
async def test_an_unreadable_frame_or_an_expired_key_loses_trust_at_once(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance, payload: bytes, counted: str
) -> None:
    async with rig.running():
        line = await binance.connected()
        await rig.tells(StreamProven)
        await rig.metrics.receive_all()
        told_sec = trio.current_time()
        line.tell(payload)
        lost = await rig.tells(StreamLost)
        assert lost.at.monotonic_sec == told_sec
        assert Count("p33_stream_events_total", (counted,)) in await rig.metrics.receive_all()
        again = await binance.connected(2)
        assert again.listen_key == "key-2"
        assert again.opened_sec - told_sec < 1.0


async def test_unknown_events_are_counted_and_change_nothing(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        for payload in ({"e": "TRADE_LITE"}, {"e": "ALGO_UPDATE"}, {"e": "NEW_IN_2031"}):
            line.tell(dict(payload))
        await rig.tells(StreamProven, 3)
        events = await rig.metrics.receive_all()
        for label in ("TRADE_LITE", "ALGO_UPDATE", "other"):
            assert Count("p33_stream_events_total", (label,)) in events
        assert not rig.all_told(StreamLost)


async def test_a_closed_connection_loses_trust_after_what_it_told(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        await rig.tells(StreamProven)
        line.tell(account_update("BTCUSDT", "3", binance.true_ms()))
        line.hang_up()
        await rig.tells(StreamLost)
        shard = shard_of("BTCUSDT")
        kinds = [type(message) for message in rig.told[shard]]
        assert kinds.index(PositionObserved) < kinds.index(StreamLost)
        status = rig.status.value
        assert status is not None
        assert (status.losses, status.connected_since, status.trusted) == (1, None, False)
        assert "closed" in (status.last_loss or "")


async def test_the_listen_key_is_kept_alive_and_one_failure_is_made_good(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    async with patient_rig.running():
        line = await binance.connected()
        binance.keep_alive_refusals = [ExchangeUnavailable("503"), ExchangeUnavailable("503")]
        await trio.sleep(3 * HOUR_SEC)
        times_sec = [at_sec - line.opened_sec for at_sec, _key in binance.kept_alive]
        assert times_sec[0] == pytest.approx(1800, abs=1)
        assert times_sec[2] - times_sec[0] < 120
        assert times_sec[3] - times_sec[2] == pytest.approx(1800, abs=1)
        assert len(times_sec) == 7
        assert not patient_rig.all_told(StreamLost)


async def test_a_listen_key_that_cannot_be_extended_is_not_believed_to_its_end(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    async with patient_rig.running():
        line = await binance.connected()
        binance.keep_alive_refusals = [ExchangeUnavailable("503")] * 10_000
        lost = await patient_rig.tells(StreamLost)
        assert LISTEN_KEY_TRUSTED_SEC <= lost.at.monotonic_sec - line.opened_sec < HOUR_SEC
        assert "kept alive" in lost.why


@pytest.mark.parametrize(
    "refusal", [ListenKeyUnknown(-1125, "no such key"), ExchangeRejected(-2015, "no permission")]
)
async def test_a_rejected_keep_alive_loses_trust_at_once(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance, refusal: ExchangeRejected
) -> None:
    async with patient_rig.running():
        line = await binance.connected()
        binance.keep_alive_refusals = [refusal]
        lost = await patient_rig.tells(StreamLost)
        assert lost.at.monotonic_sec - line.opened_sec == pytest.approx(1800, abs=1)
        assert (await binance.connected(2)).listen_key == "key-2"


async def test_rotation_overlaps_and_neither_trust_nor_any_event_is_lost(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    shard = shard_of("BTCUSDT")
    async with patient_rig.running():
        old = await binance.connected()
        new = await binance.connected(2)
        assert new.opened_sec - old.opened_sec <= ROTATE_AFTER_SEC < 24 * HOUR_SEC
        amount = 0
        while old.closed_sec is None:
            amount += 1
            event = account_update("BTCUSDT", str(amount), binance.true_ms())
            old.tell(event)
            new.tell(event)
            await trio.sleep(0.5)
        assert old.closed_sec - new.opened_sec >= 5.0
        after = amount + 1
        new.tell(account_update("BTCUSDT", str(after), binance.true_ms()))
        closed_sec = trio.current_time()
        await trio.sleep(60)
        assert {message.position.amount for message in patient_rig.all_told(PositionObserved, shard)} == set(
            range(1, after + 1)
        )
        assert not patient_rig.all_told(StreamLost)
        assert [message.epoch for message in patient_rig.all_told(StreamConnected)] == [1]
        proofs = [message.as_of for message in patient_rig.all_told(StreamProven)]
        assert proofs == sorted(set(proofs))
        gaps = [later.monotonic_sec - earlier.monotonic_sec for earlier, later in pairwise(proofs)]
        assert max(gaps) <= 40.0
        assert proofs[-1].monotonic_sec > closed_sec + 30
        # The next rotation comes a day later, and the one that is relied on now is the new one.
        new.frozen = True
        await patient_rig.tells(StreamLost)


async def test_an_old_connection_that_breaks_before_the_handover_loses_trust(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    async with patient_rig.running():
        old = await binance.connected()
        new = await binance.connected(2)
        await trio.sleep(2.0)
        old.hang_up()
        lost = await patient_rig.tells(StreamLost)
        assert lost.at.monotonic_sec - new.opened_sec < 5.0
        assert (await patient_rig.tells(StreamConnected, 2)).epoch == 2


async def test_nothing_rests_on_a_new_connection_before_the_old_one_has_told_all(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    async with patient_rig.running():
        old = await binance.connected()
        new = await binance.connected(2)
        old.frozen = True
        await trio.sleep(0.2)
        proofs = patient_rig.all_told(StreamProven)
        lost = await patient_rig.tells(StreamLost)
        # The new one answered its pings all the while.
        assert lost.at.monotonic_sec - new.opened_sec > 20
        assert patient_rig.all_told(StreamProven) == proofs


@pytest.mark.parametrize("seed", range(6))
async def test_old_and_new_are_heard_together_for_seconds_wherever_the_pings_fall(
    autojump_clock: MockClock, binance: FakeBinance, clock: SleepyClock, seed: int
) -> None:
    rig = StreamRig(binance, binance, clock, proof_sec=20.0, seed=seed, within_sec=36 * HOUR_SEC)
    async with rig.running():
        old = await binance.connected()
        new = await binance.connected(2)
        await trio.sleep_until(new.opened_sec + 5.0)
        old.tell(account_update("BTCUSDT", "7", binance.true_ms() - 4_900))
        told = await rig.tells(PositionObserved, shard=shard_of("BTCUSDT"))
        assert told.position.amount == 7
        await trio.sleep(60)
        assert old.closed_sec is not None
        assert not rig.all_told(StreamLost)


async def test_a_new_connection_that_fails_in_the_overlap_costs_nothing(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    async with patient_rig.running():
        old = await binance.connected()
        binance.on_connect = FakeConnection.hang_up
        failing = await binance.connected(2)
        binance.on_connect = lambda _connection: None
        await wait_all_tasks_blocked()
        binance.refusals = [ExchangeUnavailable("503")]
        third = await binance.connected(3)
        assert third.opened_sec - failing.opened_sec > 60
        await trio.sleep(30)
        assert old.closed_sec is not None
        assert third.closed_sec is None
        assert not patient_rig.all_told(StreamLost)


async def test_connecting_is_tried_with_growing_pauses_and_named_as_the_wait(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    binance.refusals = [ExchangeUnavailable("503")] * 14
    async with rig.running():
        await trio.sleep(1.0)
        assert rig.heartbeat is not None
        assert [wait.what for wait in rig.heartbeat.waits()] == ["Binance's private stream"]
        await binance.connected()
        pauses = [later - earlier for earlier, later in pairwise(binance.attempts_sec)]
        assert len(pauses) == 14
        assert pauses[0] < 0.5
        assert all(10 <= pause <= 20.1 for pause in pauses[-4:])
        assert not rig.all_told(StreamLost)
        await rig.tells(StreamProven)
        assert rig.heartbeat.waits() == []


async def test_no_request_is_made_before_a_ban_ends(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance, clock: SleepyClock
) -> None:
    async with rig.running():
        line = await binance.connected()
        await rig.tells(StreamProven)
        until = clock.now().earlier_by(-90.0)
        binance.refusals = [RateLimited(until, "429")]
        line.hang_up()
        await binance.connected(2)
        assert len(binance.attempts_sec) == 3
        assert binance.attempts_sec[2] >= until.monotonic_sec


async def test_slow_pushes_widen_the_allowance_and_a_proof_never_goes_back(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    binance.skew_ms = 3_000
    async with rig.running():
        line = await binance.connected()
        await rig.tells(StreamProven, 2)
        line.tell(account_update("BTCUSDT", "1", binance.true_ms() - 1_700))
        await trio.sleep(10)
        proofs = [proof.as_of for proof in rig.all_told(StreamProven)]
        assert proofs == sorted(set(proofs))
        last_ping_sec = line.opened_sec + 10.0
        assert proofs[-1].monotonic_sec == pytest.approx(last_ping_sec - 1.7, abs=1.01)
        status = rig.status.value
        assert status is not None
        assert status.allowance_sec == pytest.approx(1.7, abs=0.01)


async def test_a_clock_that_stepped_is_found_out_by_the_first_push(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        await trio.sleep(300)
        binance.skew_ms = -90_000
        line.tell(account_update("BTCUSDT", "1", binance.true_ms()))
        await trio.sleep(3)
        status = rig.status.value
        assert status is not None
        assert status.allowance_sec == 0.25
        assert not rig.all_told(StreamLost)


async def test_stopping_loses_trust_and_a_restarted_actor_counts_on(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        await rig.tells(StreamProven)
    lost = await lost_of(rig)
    assert (lost.epoch, rig.book.trust_lost_at) == (1, lost.at)
    async with rig.running():
        assert (await rig.tells(StreamConnected, 2)).epoch == 2


async def lost_of(rig: StreamRig) -> StreamLost:
    for shard in range(SHARDS):
        if rig.inboxes[shard].depth:
            rig.told[shard] += await rig.inboxes[shard].receive_all()
    return rig.all_told(StreamLost)[0]
