"""The private stream's promises, in virtual time, with an exchange written down by each test."""

from __future__ import annotations

from decimal import Decimal

import pytest
import structlog
import trio
from trio.testing import MockClock

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
from tests.actors.stream_fakes import FakeBinance, SleepyClock, account_update, order_fill
from tests.actors.stream_rig import SHARDS, StreamRig, shard_of


@pytest.fixture
def clock() -> SleepyClock:
    return SleepyClock()


@pytest.fixture
def binance(clock: SleepyClock) -> FakeBinance:
    return FakeBinance(clock)


@pytest.fixture
def rig(binance: FakeBinance, clock: SleepyClock) -> StreamRig:
    return StreamRig(binance, binance, clock)


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
        await trio.sleep(31)
        await rig.metrics.receive_all()
        told_sec = trio.current_time()
        line.tell(payload)
        lost = await rig.tells(StreamLost)
        assert lost.at.monotonic_sec == told_sec
        assert Count("p33_stream_events_total", (counted,)) in await rig.metrics.receive_all()
        again = await binance.connected(2)
        assert 0.05 < again.opened_sec - told_sec < 0.2


async def test_events_of_no_interest_are_counted_and_change_nothing(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        for event_type in ("TRADE_LITE", "ALGO_UPDATE", "NEW_IN_2031", "MARGIN_CALL", "NEWER_STILL"):
            line.tell({"e": event_type, "E": 1})
        line.tell({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 1, "ai": {"j": True}})
        await rig.tells(StreamProven, 3)
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
            assert {type(message) for message in rig.told[shard]} == {StreamConnected, StreamProven}


async def test_an_account_update_without_positions_is_a_push_that_moves_nothing(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        for reason in ("FUNDING_FEE", "DEPOSIT", "ASSET_TRANSFER", "A_REASON_OF_2031"):
            account = {"m": reason, "B": [{"a": "USDT", "wb": "1"}], "P": []}
            line.tell({"e": "ACCOUNT_UPDATE", "E": 1, "T": binance.true_ms() - 700, "a": account})
        await rig.tells(StreamProven, 3)
        for shard in range(SHARDS):
            assert {type(message) for message in rig.told[shard]} == {StreamConnected, StreamProven}
        # It tells how slow pushes are, as any other.
        status = rig.status.value
        assert status is not None
        assert status.allowance_sec == pytest.approx(0.7, abs=0.01)


async def test_a_changed_leverage_goes_to_its_shard_and_nowhere_else(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        line = await binance.connected()
        changed = {"s": "ETHUSDT", "l": 7}
        line.tell({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": binance.true_ms(), "ac": changed})
        told = await rig.tells(LeverageObserved, shard=shard_of("ETHUSDT"))
        assert (told.symbol, told.leverage) == ("ETHUSDT", Decimal(7))
        assert sum(len(rig.all_told(LeverageObserved, shard)) for shard in range(SHARDS)) == 1
        assert Count("p33_stream_events_total", ("ACCOUNT_CONFIG_UPDATE",)) in await rig.metrics.receive_all()


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
        await trio.sleep(320)
        binance.skew_ms = -90_000
        line.tell(account_update("BTCUSDT", "1", binance.true_ms()))
        await trio.sleep(3)
        status = rig.status.value
        assert status is not None
        assert status.allowance_sec == 0.25
        assert not rig.all_told(StreamLost)


async def test_a_small_step_of_the_exchange_s_clock_is_found_out_within_a_minute(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        await binance.connected()
        await trio.sleep(320)
        binance.skew_ms = -200
        await trio.sleep(61)
        assert binance.believed_skew_ms == -200


async def test_a_comparison_that_failed_is_made_up_for_soon(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance
) -> None:
    binance.skew_ms = -200
    binance.clock_refusals = [ExchangeUnavailable("status 502")]
    async with rig.running():
        await binance.connected()
        await trio.sleep(11)
        assert binance.believed_skew_ms == -200


@pytest.mark.parametrize(("in_order", "level"), [(True, "info"), (False, "warning")])
async def test_the_end_of_the_stream_is_a_warning_only_where_nobody_meant_it(
    autojump_clock: MockClock, rig: StreamRig, binance: FakeBinance, in_order: bool, level: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        async with rig.running():
            await binance.connected()
            await rig.tells(StreamProven)
            assert rig.heartbeat is not None
            if in_order:
                rig.heartbeat.stopping.set()
        (lost,) = [line for line in lines if line["event"] == "private stream: lost"]
        assert lost["log_level"] == level
        # Whoever reads the book must not believe the silence, in either case.
        assert rig.book.trust_lost_at is not None
