"""Listen keys and rotation: a private stream that stays for days, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.user_stream import LISTEN_KEY_TRUSTED_SEC, ROTATE_AFTER_SEC
from channels import PositionObserved, StreamConnected, StreamLost, StreamProven
from exchange.errors import ExchangeRejected, ExchangeUnavailable, ListenKeyUnknown
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
