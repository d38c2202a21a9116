"""Listen keys and rotation: a private stream that stays for days, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.user_stream.actor import ROTATE_AFTER_SEC
from actors.user_stream.connection import LISTEN_KEY_TRUSTED_SEC
from channels import PositionObserved, StreamConnected, StreamLost, StreamProven
from exchange.errors import ExchangeRejected, ExchangeUnavailable, ListenKeyUnknown, RateLimited
from tests.actors.stream_fakes import FakeConnection, account_update
from tests.actors.stream_rig import FakeRig, shard_of
from tests.virtual_time import virtual_time

pytestmark = [pytest.mark.simulation, virtual_time]

HOUR_SEC = 3600.0


@pytest.fixture
def day_rig() -> FakeRig:
    """Returns one that pings every 20 s, for tests that last a day."""
    return FakeRig(proof_sec=20.0, within_sec=36 * HOUR_SEC)


async def test_the_listen_key_is_kept_alive_each_minute_and_retried_soon(day_rig: FakeRig) -> None:
    async with day_rig.connected() as line:
        await trio.sleep(1)
        day_rig.binance.keep_alive_refusals = [ExchangeUnavailable("503"), ExchangeUnavailable("503")]
        await trio.sleep(HOUR_SEC)
        times_sec = [at_sec - line.opened_sec for at_sec, _key in day_rig.binance.kept_alive]
        assert times_sec[:2] == pytest.approx([0, 60], abs=0.2)
        assert times_sec[3] - times_sec[1] < 5, "the two that failed are made good"
        assert times_sec[4] - times_sec[3] == pytest.approx(60, abs=0.2)
        assert len(times_sec) == 62
        assert not day_rig.messages_of(StreamLost)


async def test_a_listen_key_is_relied_on_for_ten_minutes_without_an_extension(day_rig: FakeRig) -> None:
    async with day_rig.connected() as line:
        await trio.sleep(1)
        day_rig.binance.keep_alive_refusals = [ExchangeUnavailable("503")] * 10_000
        lost = await day_rig.message(StreamLost)
        assert lost.at.monotonic_sec - line.opened_sec == pytest.approx(LISTEN_KEY_TRUSTED_SEC, abs=0.1)
        assert "not kept alive" in lost.why


@pytest.mark.parametrize(("ban_sec", "survives"), [(300.0, True), (3600.0, False)])
async def test_a_ban_of_minutes_costs_a_proven_stream_nothing(
    day_rig: FakeRig, ban_sec: float, survives: bool
) -> None:
    async with day_rig.connected():
        await trio.sleep(1)
        until = day_rig.binance.clock.now().earlier_by(-ban_sec)
        day_rig.binance.keep_alive_refusals = [RateLimited(until, "418")]
        await trio.sleep(LISTEN_KEY_TRUSTED_SEC + 30)
        assert (not day_rig.messages_of(StreamLost)) == survives
        asked_sec = [at_sec for at_sec, _key in day_rig.binance.kept_alive]
        assert not [at_sec for at_sec in asked_sec if 61 < at_sec < min(ban_sec, LISTEN_KEY_TRUSTED_SEC)]


@pytest.mark.parametrize(
    "refusal", [ListenKeyUnknown(-1125, "no such key"), ExchangeRejected(-2015, "no permission")]
)
async def test_a_rejected_keep_alive_loses_trust_at_once(day_rig: FakeRig, refusal: ExchangeRejected) -> None:
    async with day_rig.connected() as line:
        await trio.sleep(1)
        day_rig.binance.keep_alive_refusals = [refusal]
        lost = await day_rig.message(StreamLost)
        assert lost.at.monotonic_sec - line.opened_sec == pytest.approx(60, abs=0.5)
        await day_rig.binance.connected(2)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_key_that_another_process_deleted_is_found_within_a_minute(
    day_rig: FakeRig, replaced: bool
) -> None:
    async with day_rig.connected():
        await trio.sleep(1000)
        day_rig.binance.delete_key(replaced=replaced)
        deleted_sec = trio.current_time()
        lost = await day_rig.message(StreamLost)
        assert lost.at.monotonic_sec - deleted_sec < 60.5
        again = await day_rig.binance.connected(2)
        assert again.listen_key == day_rig.binance.live_key == "key-2"
        assert again.opened_sec - lost.at.monotonic_sec < 0.5
        await day_rig.message(StreamConnected, 2)


@pytest.mark.parametrize("replaced", [False, True])
async def test_rotating_to_a_connection_of_another_key_ends_the_session(
    day_rig: FakeRig, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    monkeypatch.setattr("actors.user_stream.actor.ROTATE_AFTER_SEC", 100.0)
    async with day_rig.connected() as old:
        # Right after the keep-alive at 60 s; the rotation comes first.
        await trio.sleep_until(old.opened_sec + 61)
        day_rig.binance.delete_key(replaced=replaced)
        lost = await day_rig.message(StreamLost)
        assert 97 < lost.at.monotonic_sec - old.opened_sec < 101
        assert "another one" in lost.why
        assert (await day_rig.binance.connected(2)).listen_key == "key-2"
        await day_rig.message(StreamConnected, 2)


async def test_rotation_overlaps_and_neither_trust_nor_any_event_is_lost(day_rig: FakeRig) -> None:
    shard = shard_of("BTCUSDT")
    async with day_rig.connected() as old:
        new = await day_rig.binance.connected(2)
        assert new.opened_sec - old.opened_sec <= ROTATE_AFTER_SEC < 24 * HOUR_SEC
        amount = 0
        while old.closed_sec is None:
            amount += 1
            event = account_update("BTCUSDT", str(amount), day_rig.binance.true_ms())
            old.push(event)
            new.push(event)
            await trio.sleep(0.5)
        assert old.closed_sec - new.opened_sec >= 5.0
        after = amount + 1
        new.push(account_update("BTCUSDT", str(after), day_rig.binance.true_ms()))
        closed_sec = trio.current_time()
        await trio.sleep(60)
        assert {message.position.amount for message in day_rig.messages_of(PositionObserved, shard)} == set(
            range(1, after + 1)
        )
        assert not day_rig.messages_of(StreamLost)
        assert [message.epoch for message in day_rig.messages_of(StreamConnected)] == [1]
        proofs = [message.as_of for message in day_rig.messages_of(StreamProven)]
        assert proofs == sorted(set(proofs))
        gaps = [later.monotonic_sec - earlier.monotonic_sec for earlier, later in pairwise(proofs)]
        assert max(gaps) <= 40.0
        assert proofs[-1].monotonic_sec > closed_sec + 30
        # The next rotation comes a day later, and the one that is relied on now is the new one.
        new.frozen = True
        await day_rig.message(StreamLost)


async def test_repeated_updates_of_a_slower_connection_are_left_out(day_rig: FakeRig) -> None:
    shard = shard_of("BTCUSDT")
    async with day_rig.connected() as old:
        new = await day_rig.binance.connected(2)
        await trio.sleep(1)
        events = [account_update("BTCUSDT", str(n), day_rig.binance.true_ms() + n) for n in (1, 2, 3)]
        for event in events:
            new.push(event)
        await trio.sleep(0.05)
        for event in events:
            old.push(event)
        await trio.sleep(0.05)
        amounts = [each.position.amount for each in day_rig.messages_of(PositionObserved, shard)]
        assert amounts == sorted(set(amounts))


async def test_an_old_connection_that_breaks_before_the_handover_loses_trust(day_rig: FakeRig) -> None:
    async with day_rig.connected() as old:
        new = await day_rig.binance.connected(2)
        await trio.sleep(2.0)
        old.hang_up()
        lost = await day_rig.message(StreamLost)
        assert lost.at.monotonic_sec - new.opened_sec < 5.0
        assert (await day_rig.message(StreamConnected, 2)).epoch == 2


async def test_a_new_connection_is_current_after_the_old_one_has_pushed_all(day_rig: FakeRig) -> None:
    async with day_rig.connected() as old:
        new = await day_rig.binance.connected(2)
        old.frozen = True
        await trio.sleep(0.2)
        proofs = day_rig.messages_of(StreamProven)
        lost = await day_rig.message(StreamLost)
        # The new one answered its pings all the while.
        assert lost.at.monotonic_sec - new.opened_sec > 20
        assert day_rig.messages_of(StreamProven) == proofs


@pytest.mark.parametrize("seed", range(6))
async def test_old_and_new_connection_overlap_for_seconds_at_any_phase_of_the_pings(seed: int) -> None:
    rig = FakeRig(proof_sec=20.0, seed=seed, within_sec=36 * HOUR_SEC)
    async with rig.connected() as old:
        new = await rig.binance.connected(2)
        await trio.sleep_until(new.opened_sec + 5.0)
        old.push(account_update("BTCUSDT", "7", rig.binance.true_ms() - 4_900))
        received = await rig.message(PositionObserved, shard=shard_of("BTCUSDT"))
        assert received.position.amount == 7
        await trio.sleep(60)
        assert old.closed_sec is not None
        assert not rig.messages_of(StreamLost)


async def test_a_new_connection_that_fails_in_the_overlap_costs_nothing(day_rig: FakeRig) -> None:
    async with day_rig.connected() as old:
        day_rig.binance.on_connect = FakeConnection.hang_up
        failing = await day_rig.binance.connected(2)
        day_rig.binance.on_connect = lambda _connection: None
        await wait_all_tasks_blocked()
        day_rig.binance.refusals = [ExchangeUnavailable("503")]
        third = await day_rig.binance.connected(3)
        assert third.opened_sec - failing.opened_sec > 60
        await trio.sleep(30)
        assert old.closed_sec is not None
        assert third.closed_sec is None
        assert not day_rig.messages_of(StreamLost)
