"""Listen keys and rotation: a private stream that stays for days, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.user_stream.actor import ROTATE_AFTER_SEC
from actors.user_stream.connection import LISTEN_KEY_TRUSTED_SEC
from channels import PositionObserved, StreamConnected, StreamLost, StreamProven
from exchange.errors import ExchangeRejected, ExchangeUnavailable, ListenKeyUnknown, RateLimited
from tests.actors.stream_fakes import FakeBinance, FakeConnection, SleepyClock, account_update
from tests.actors.stream_rig import StreamRig, shard_of

HOUR_SEC = 3600.0


@pytest.fixture
def clock() -> SleepyClock:
    return SleepyClock()


@pytest.fixture
def binance(clock: SleepyClock) -> FakeBinance:
    return FakeBinance(clock)


@pytest.fixture
def patient_rig(binance: FakeBinance, clock: SleepyClock) -> StreamRig:
    """Pings seldom: for tests that last a day."""
    return StreamRig(binance, binance, clock, proof_sec=20.0, within_sec=36 * HOUR_SEC)


async def test_the_listen_key_is_kept_alive_each_minute_and_a_failure_is_made_good_soon(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    async with patient_rig.running():
        line = await binance.connected()
        await trio.sleep(1)
        binance.keep_alive_refusals = [ExchangeUnavailable("503"), ExchangeUnavailable("503")]
        await trio.sleep(HOUR_SEC)
        times_sec = [at_sec - line.opened_sec for at_sec, _key in binance.kept_alive]
        assert times_sec[:2] == pytest.approx([0, 60], abs=0.2)
        assert times_sec[3] - times_sec[1] < 5, "the two that failed are made good"
        assert times_sec[4] - times_sec[3] == pytest.approx(60, abs=0.2)
        assert len(times_sec) == 62
        assert not patient_rig.all_told(StreamLost)


async def test_a_listen_key_that_cannot_be_extended_is_relied_on_for_ten_minutes(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    async with patient_rig.running():
        line = await binance.connected()
        await trio.sleep(1)
        binance.keep_alive_refusals = [ExchangeUnavailable("503")] * 10_000
        lost = await patient_rig.tells(StreamLost)
        assert lost.at.monotonic_sec - line.opened_sec == pytest.approx(LISTEN_KEY_TRUSTED_SEC, abs=0.1)
        assert "not kept alive" in lost.why


@pytest.mark.parametrize(("ban_sec", "survives"), [(300.0, True), (3600.0, False)])
async def test_a_ban_of_minutes_costs_a_proven_stream_nothing(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance, ban_sec: float, survives: bool
) -> None:
    async with patient_rig.running():
        await binance.connected()
        await trio.sleep(1)
        until = binance.clock.now().earlier_by(-ban_sec)
        binance.keep_alive_refusals = [RateLimited(until, "418")]
        await trio.sleep(LISTEN_KEY_TRUSTED_SEC + 30)
        assert (not patient_rig.all_told(StreamLost)) == survives
        asked_sec = [at_sec for at_sec, _key in binance.kept_alive]
        assert not [at_sec for at_sec in asked_sec if 61 < at_sec < min(ban_sec, LISTEN_KEY_TRUSTED_SEC)]


@pytest.mark.parametrize(
    "refusal", [ListenKeyUnknown(-1125, "no such key"), ExchangeRejected(-2015, "no permission")]
)
async def test_a_rejected_keep_alive_loses_trust_at_once(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance, refusal: ExchangeRejected
) -> None:
    async with patient_rig.running():
        line = await binance.connected()
        await trio.sleep(1)
        binance.keep_alive_refusals = [refusal]
        lost = await patient_rig.tells(StreamLost)
        assert lost.at.monotonic_sec - line.opened_sec == pytest.approx(60, abs=0.5)
        await binance.connected(2)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_key_that_another_process_deleted_is_found_within_a_minute(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance, replaced: bool
) -> None:
    async with patient_rig.running():
        await binance.connected()
        await trio.sleep(1000)
        binance.delete_key(replaced=replaced)
        deleted_sec = trio.current_time()
        lost = await patient_rig.tells(StreamLost)
        assert lost.at.monotonic_sec - deleted_sec < 60.5
        again = await binance.connected(2)
        assert again.listen_key == binance.live_key == "key-2"
        assert again.opened_sec - lost.at.monotonic_sec < 0.5
        await patient_rig.tells(StreamConnected, 2)


@pytest.mark.parametrize("replaced", [False, True])
async def test_rotating_to_a_connection_of_another_key_ends_the_period(
    autojump_clock: MockClock,
    patient_rig: StreamRig,
    binance: FakeBinance,
    monkeypatch: pytest.MonkeyPatch,
    replaced: bool,
) -> None:
    monkeypatch.setattr("actors.user_stream.actor.ROTATE_AFTER_SEC", 100.0)
    async with patient_rig.running():
        old = await binance.connected()
        # Right after the keep-alive at 60 s; the rotation comes first.
        await trio.sleep_until(old.opened_sec + 61)
        binance.delete_key(replaced=replaced)
        lost = await patient_rig.tells(StreamLost)
        assert 97 < lost.at.monotonic_sec - old.opened_sec < 101
        assert "another one" in lost.why
        assert (await binance.connected(2)).listen_key == "key-2"
        await patient_rig.tells(StreamConnected, 2)


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


async def test_the_repetitions_of_a_slower_connection_do_not_come_behind_newer_positions(
    autojump_clock: MockClock, patient_rig: StreamRig, binance: FakeBinance
) -> None:
    shard = shard_of("BTCUSDT")
    async with patient_rig.running():
        old = await binance.connected()
        new = await binance.connected(2)
        await trio.sleep(1)
        events = [account_update("BTCUSDT", str(n), binance.true_ms() + n) for n in (1, 2, 3)]
        for event in events:
            new.tell(event)
        await trio.sleep(0.05)
        for event in events:
            old.tell(event)
        await trio.sleep(0.05)
        amounts = [each.position.amount for each in patient_rig.all_told(PositionObserved, shard)]
        assert amounts == sorted(set(amounts))


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


@pytest.mark.simulation
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
