"""The private stream's promises, in virtual time, with an exchange written down by each test."""

from __future__ import annotations

from decimal import Decimal

import pytest
import structlog
import trio

from channels import (
    Count,
    FillObserved,
    LeverageObserved,
    PositionObserved,
    SetGauge,
    StreamConnected,
    StreamLost,
    StreamProven,
)
from exchange.errors import ExchangeUnavailable
from tests.actors.stream_fakes import account_update, order_fill
from tests.actors.stream_rig import SHARDS, FakeRig, shard_of
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def gauge(rig: FakeRig) -> float | None:
    values = [event.value for event in await rig.metrics.receive_all() if isinstance(event, SetGauge)]
    return values[-1] if values else None


async def test_every_shard_gets_the_connection_before_the_first_proof(rig: FakeRig) -> None:
    async with rig.connected() as line:
        proven = await rig.message(StreamProven)
        for shard in range(SHARDS):
            connected, first = rig.messages[shard][:2]
            assert isinstance(connected, StreamConnected)
            assert connected.epoch == proven.epoch == 1
            assert connected.since.monotonic_sec >= line.opened_sec
            assert first == proven


async def test_a_proof_reaches_to_when_its_ping_was_sent_less_the_allowance(rig: FakeRig) -> None:
    async with rig.connected() as line:
        third = await rig.message(StreamProven, 3)
        assert third.as_of.monotonic_sec == pytest.approx(line.opened_sec + 2.0 - 0.25)
        assert third.as_of.wall_ms == pytest.approx(
            rig.binance.clock.epoch_ms + third.as_of.monotonic_sec * 1000, abs=1
        )
        assert rig.known_status.proven_as_of == third.as_of
        assert await gauge(rig) == 1


async def test_events_before_a_pong_are_passed_on_before_its_proof(rig: FakeRig) -> None:
    async with rig.connected() as line:
        proofs = 0
        for amount in range(1, 40):
            for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT"):
                line.push(account_update(symbol, str(amount), rig.binance.true_ms()))
            pushed_sec = trio.current_time()
            await trio.sleep(0.13)
            for shard in range(SHARDS):
                for place, message in enumerate(rig.messages[shard]):
                    if isinstance(message, StreamProven) and message.as_of.monotonic_sec >= pushed_sec:
                        seen = [
                            earlier.position.amount
                            for earlier in rig.messages[shard][:place]
                            if isinstance(earlier, PositionObserved)
                        ]
                        assert amount in seen
                        proofs += 1
        await rig.message(StreamProven, 4)


async def test_a_burst_that_waits_when_the_pong_arrives_is_passed_on_first(rig: FakeRig) -> None:
    async with rig.connected() as line:
        await rig.message(StreamProven, 1)
        # The next ping goes out a second after the first; its pong comes 0.1 s later, right behind this.
        await trio.sleep_until(line.opened_sec + 1.0999)
        for amount in range(300):
            line.push(account_update("BTCUSDT", str(amount), rig.binance.true_ms()))
        shard = shard_of("BTCUSDT")
        proof = await rig.message(StreamProven, 2, shard)
        received = rig.messages[shard]
        before = [
            message for message in received[: received.index(proof)] if isinstance(message, PositionObserved)
        ]
        assert len(before) == 300


async def test_positions_go_to_their_shard_and_fills_also_to_the_ledger(rig: FakeRig) -> None:
    async with rig.connected() as line:
        line.push(account_update("BTCUSDT", "-0.5", rig.binance.true_ms()))
        line.push(order_fill("ETHUSDT", 7, "1.5", rig.binance.true_ms()))
        position = await rig.message(PositionObserved, shard=shard_of("BTCUSDT"))
        fill = await rig.message(FillObserved, shard=shard_of("ETHUSDT"))
        assert (position.symbol, str(position.position.amount)) == ("BTCUSDT", "-0.5")
        assert await rig.fills.receive_all() == [fill]
        elsewhere = [
            message
            for shard in range(SHARDS)
            for message in rig.messages[shard]
            if isinstance(message, PositionObserved | FillObserved)
        ]
        assert len(elsewhere) == 2


async def test_a_late_pong_loses_trust_at_two_proof_intervals_and_a_new_session_begins(rig: FakeRig) -> None:
    async with rig.connected() as line:
        await rig.message(StreamProven, 2)
        line.round_trip_sec = 2.5
        lost = await rig.message(StreamLost)
        assert lost.at.monotonic_sec == pytest.approx(line.opened_sec + 2.0 + 2.0)
        assert lost.epoch == 1
        assert rig.book.trust_lost_at == lost.at
        assert all(rig.messages_of(StreamLost, shard) == [lost] for shard in range(SHARDS))
        assert await gauge(rig) == 0
        connected = await rig.message(StreamConnected, 2)
        assert connected.epoch == 2
        proven = await rig.message(StreamProven, 3)
        assert proven.epoch == 2
        assert line.closed_sec == lost.at.monotonic_sec


async def test_a_pong_that_took_a_suspended_host_too_long_is_late_as_well(rig: FakeRig) -> None:
    async with rig.connected() as line:
        await rig.message(StreamProven, 2)
        await trio.sleep_until(line.opened_sec + 2.05)
        rig.clock.suspend(30)
        lost = await rig.message(StreamLost)
        assert lost.at.monotonic_sec == pytest.approx(line.opened_sec + 2.1)


async def test_a_frozen_socket_is_noticed_within_three_proof_intervals(rig: FakeRig) -> None:
    async with rig.running():
        for period in range(1, 6):
            line = await rig.binance.connected(period)
            await rig.message(StreamProven, len(rig.messages_of(StreamProven)) + 2)
            await trio.sleep(period * 0.17)
            line.frozen = True
            frozen_sec = trio.current_time()
            lost = await rig.message(StreamLost, period)
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
    rig: FakeRig, payload: bytes, counted: str
) -> None:
    async with rig.connected() as line:
        await trio.sleep(31)
        await rig.metrics.receive_all()
        pushed_sec = trio.current_time()
        line.push(payload)
        lost = await rig.message(StreamLost)
        assert lost.at.monotonic_sec == pushed_sec
        assert Count("p33_stream_events_total", (counted,)) in await rig.metrics.receive_all()
        again = await rig.binance.connected(2)
        assert 0.05 < again.opened_sec - pushed_sec < 0.2


async def test_events_of_no_interest_are_counted_and_change_nothing(rig: FakeRig) -> None:
    async with rig.connected() as line:
        for event_type in ("TRADE_LITE", "ALGO_UPDATE", "NEW_IN_2031", "MARGIN_CALL", "NEWER_STILL"):
            line.push({"e": event_type, "E": 1})
        line.push({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 1, "ai": {"j": True}})
        await rig.message(StreamProven, 3)
        events = await rig.metrics.receive_all()
        counted = {
            label: events.count(Count("p33_stream_events_total", (label,)))
            for label in ("TRADE_LITE", "ALGO_UPDATE", "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE", "other")
        }
        assert counted == {
            "TRADE_LITE": 1,
            "ALGO_UPDATE": 1,
            "MARGIN_CALL": 1,
            "ACCOUNT_CONFIG_UPDATE": 1,
            "other": 2,
        }
        for shard in range(SHARDS):
            assert {type(message) for message in rig.messages[shard]} == {StreamConnected, StreamProven}


async def test_an_account_update_without_positions_is_a_push_that_moves_nothing(rig: FakeRig) -> None:
    async with rig.connected() as line:
        for reason in ("FUNDING_FEE", "DEPOSIT", "ASSET_TRANSFER", "A_REASON_OF_2031"):
            account = {"m": reason, "B": [{"a": "USDT", "wb": "1"}], "P": []}
            line.push({"e": "ACCOUNT_UPDATE", "E": 1, "T": rig.binance.true_ms() - 700, "a": account})
        await rig.message(StreamProven, 3)
        for shard in range(SHARDS):
            assert {type(message) for message in rig.messages[shard]} == {StreamConnected, StreamProven}
        # Its push delay is measured, as any other's.
        assert rig.known_status.allowance_sec == pytest.approx(0.7, abs=0.01)


async def test_a_changed_leverage_goes_to_its_shard_and_nowhere_else(rig: FakeRig) -> None:
    async with rig.connected() as line:
        changed = {"s": "ETHUSDT", "l": 7}
        line.push({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": rig.binance.true_ms(), "ac": changed})
        received = await rig.message(LeverageObserved, shard=shard_of("ETHUSDT"))
        assert (received.symbol, received.leverage) == ("ETHUSDT", Decimal(7))
        assert sum(len(rig.messages_of(LeverageObserved, shard)) for shard in range(SHARDS)) == 1
        assert Count("p33_stream_events_total", ("ACCOUNT_CONFIG_UPDATE",)) in await rig.metrics.receive_all()


async def test_a_closed_connection_loses_trust_behind_its_last_event(rig: FakeRig) -> None:
    async with rig.connected() as line:
        await rig.message(StreamProven)
        line.push(account_update("BTCUSDT", "3", rig.binance.true_ms()))
        line.hang_up()
        await rig.message(StreamLost)
        shard = shard_of("BTCUSDT")
        kinds = [type(message) for message in rig.messages[shard]]
        assert kinds.index(PositionObserved) < kinds.index(StreamLost)
        status = rig.known_status
        assert (status.losses, status.connected_since, status.trusted) == (1, None, False)
        assert "closed" in (status.last_loss or "")


async def test_slow_pushes_widen_the_allowance_and_a_proof_never_goes_back(rig: FakeRig) -> None:
    rig.binance.skew_ms = 3_000
    async with rig.connected() as line:
        await rig.message(StreamProven, 2)
        line.push(account_update("BTCUSDT", "1", rig.binance.true_ms() - 1_700))
        await trio.sleep(10)
        proofs = [proof.as_of for proof in rig.messages_of(StreamProven)]
        assert proofs == sorted(set(proofs))
        last_ping_sec = line.opened_sec + 10.0
        assert proofs[-1].monotonic_sec == pytest.approx(last_ping_sec - 1.7, abs=1.01)
        assert rig.known_status.allowance_sec == pytest.approx(1.7, abs=0.01)


async def test_a_clock_that_stepped_is_found_out_by_the_first_push(rig: FakeRig) -> None:
    async with rig.connected() as line:
        await trio.sleep(320)
        rig.binance.skew_ms = -90_000
        line.push(account_update("BTCUSDT", "1", rig.binance.true_ms()))
        await trio.sleep(3)
        assert rig.known_status.allowance_sec == 0.25
        assert not rig.messages_of(StreamLost)


async def test_a_small_step_of_the_exchange_s_clock_is_found_out_within_a_minute(rig: FakeRig) -> None:
    async with rig.connected():
        await trio.sleep(320)
        rig.binance.skew_ms = -200
        await trio.sleep(61)
        assert rig.binance.assumed_skew_ms == -200


async def test_a_failed_synchronisation_is_retried_soon(rig: FakeRig) -> None:
    rig.binance.skew_ms = -200
    rig.binance.clock_refusals = [ExchangeUnavailable("status 502")]
    async with rig.connected():
        await trio.sleep(11)
        assert rig.binance.assumed_skew_ms == -200


@pytest.mark.parametrize(("in_order", "level"), [(True, "info"), (False, "warning")])
async def test_the_end_of_the_stream_is_a_warning_only_if_it_was_not_intended(
    rig: FakeRig, in_order: bool, level: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        async with rig.connected():
            await rig.message(StreamProven)
            assert rig.heartbeat is not None
            if in_order:
                rig.heartbeat.stopping.set()
        (lost,) = [line for line in lines if line["event"] == "private stream: lost"]
        assert lost["log_level"] == level
        # The book no longer trusts the stream, in either case.
        assert rig.book.trust_lost_at is not None
