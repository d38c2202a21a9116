"""The private stream against the simulator: real sockets, real time, real faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio

from brain.execution.orders import Accepted, OrderStatus
from brain.identifiers import ClientOrderId
from brain.moment import Moment
from brain.positions.position import Leg
from channels import (
    Count,
    DropOldest,
    FillObserved,
    LeverageObserved,
    PositionObserved,
    StreamConnected,
    StreamLost,
    StreamProven,
)
from channels.channels import own_order_channel
from clock import HostClock
from exchange.user_stream_connection import UserStreamConnector
from simulator import RunningSimulator, SimulatedExchange, StreamServer, external_events, running
from tests.actors.stream_rig import StreamRig, shard_of
from tests.exchange.parts import Parts
from tests.exchange.test_order_requests import OrderParts

PROOF_SEC = 0.2
LISTEN_KEY = "/fapi/v1/listenKey"


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with running(SimulatedExchange()) as started:
        with trio.fail_after(20):
            yield started


@asynccontextmanager
async def listening(
    simulator: RunningSimulator, *, executor: bool = False, governor: bool = False
) -> AsyncIterator[StreamRig]:
    """A user stream of the simulator, proven for the first time, with or without roles."""
    parts = Parts(simulator)
    connector = UserStreamConnector(simulator.addresses.ws_url, clock=HostClock(), connect_timeout_sec=0.5)
    rig = StreamRig(parts.rest, connector, parts.clock, proof_sec=PROOF_SEC)
    rig.own_orders = own_order_channel() if executor else None
    rig.balances = DropOldest("balances", 100) if governor else None
    async with parts.rest, rig.running():
        await rig.message(StreamProven)
        yield rig


def requests_for_a_key(simulator: RunningSimulator) -> int:
    return len(simulator.exchange.requests.records(path=LISTEN_KEY))


def rest_reads(simulator: RunningSimulator) -> list[str]:
    paths = [record.path for record in simulator.exchange.requests.records()]
    return [path for path in paths if path not in (LISTEN_KEY, "/fapi/v1/time")]


def now() -> Moment:
    return HostClock().now()


async def trusted_again(rig: StreamRig, losses: int = 1) -> StreamConnected:
    """Wait for the period after so many losses, and its first proof."""
    connected = await rig.message(StreamConnected, losses + 1)
    while (proof := rig.messages_of(StreamProven)[-1]).epoch != connected.epoch:
        await rig.message(StreamProven, len(rig.messages_of(StreamProven)) + 1)
    assert proof.epoch == losses + 1
    return connected


async def test_a_change_of_position_arrives_within_fifty_milliseconds_and_without_rest(
    simulator: RunningSimulator,
) -> None:
    shard = shard_of("BTCUSDT")
    async with listening(simulator) as rig:
        asked = rest_reads(simulator)
        moved = now()
        external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal("-0.25"))
        position = await rig.message(PositionObserved, shard=shard)
        fill = await rig.message(FillObserved, shard=shard)
        assert moved.age_sec(now()) < 0.05
        truth = simulator.exchange.history.changes("BTCUSDT")[-1]
        assert position.position.amount == truth.amount == Decimal("-0.25")
        assert position.position.update_time_ms == truth.transaction_time_ms
        assert (fill.order_id, fill.cumulative) == (str(truth.order_id), Decimal("0.25"))
        assert rest_reads(simulator) == asked


@pytest.mark.parametrize("all_legs_shown", [False, True])
async def test_in_hedge_mode_each_leg_arrives_by_itself(
    simulator: RunningSimulator, all_legs_shown: bool
) -> None:
    exchange, shard = simulator.exchange, shard_of("BTCUSDT")
    exchange.set_hedge_mode(True)
    exchange.faults.account_update_shows_all_legs = all_legs_shown
    async with listening(simulator) as rig:
        external_events.move_position(exchange, "BTCUSDT", target=Decimal("0.5"), position_side="LONG")
        external_events.move_position(exchange, "BTCUSDT", target=Decimal("-0.2"), position_side="SHORT")
        # The short leg comes with the first update too, where the legs are always shown together.
        last = await rig.message(PositionObserved, 4 if all_legs_shown else 2, shard)
        assert (last.position.leg, last.position.amount) == (Leg.SHORT, Decimal("-0.2"))
        received = rig.messages_of(PositionObserved, shard)
        assert Leg.BOTH not in {each.position.leg for each in received}
        assert {each.position.amount for each in received if each.position.leg is Leg.LONG} == {
            Decimal("0.5")
        }
        fills = [await rig.message(FillObserved, number, shard) for number in (1, 2)]
        assert [fill.leg for fill in fills] == [Leg.LONG, Leg.SHORT]


@pytest.mark.parametrize(
    ("cause", "client_order_id"),
    [
        ("liquidation", "autoclose-"),
        ("adl", "adl_autoclose"),
        ("settlement", "settlement_autoclose-"),
        ("stop", "stop_"),
    ],
)
async def test_an_order_that_the_account_did_not_place_arrives_as_position_and_fill(
    simulator: RunningSimulator, cause: external_events.Cause, client_order_id: str
) -> None:
    shard = shard_of("BTCUSDT")
    async with listening(simulator) as rig:
        external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal("0.5"))
        external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal(0), cause=cause)
        position = await rig.message(PositionObserved, 2, shard)
        fill = await rig.message(FillObserved, 2, shard)
        assert position.position.amount == 0
        assert fill.client_order_id.startswith(client_order_id)
        assert (fill.order_side, fill.cumulative) == ("SELL", Decimal("0.5"))
        # A later ping's proof comes behind every event of the move.
        await rig.message(StreamProven, len(rig.messages_of(StreamProven)) + 2)
        counted = await rig.metrics.receive_all()
        algo_updates = counted.count(Count("p33_stream_events_total", ("ALGO_UPDATE",)))
        assert algo_updates == (2 if cause == "stop" else 0)
        assert not rig.messages_of(StreamLost)


async def test_a_changed_leverage_arrives_and_a_balance_without_positions_does_not(
    simulator: RunningSimulator,
) -> None:
    async with listening(simulator) as rig:
        external_events.change_balance(simulator.exchange, "FUNDING_FEE", Decimal("-1.25"))
        external_events.set_leverage(simulator.exchange, "ETHUSDT", 9)
        received = await rig.message(LeverageObserved, shard=shard_of("ETHUSDT"))
        assert (received.symbol, received.leverage) == ("ETHUSDT", Decimal(9))
        assert not rig.messages_of(PositionObserved, shard_of("ETHUSDT"))
        counted = await rig.metrics.receive_all()
        assert Count("p33_stream_events_total", ("ACCOUNT_UPDATE",)) in counted
        external_events.change_balance(simulator.exchange, "MARGIN_TRANSFER", Decimal(5), symbol="ETHUSDT")
        unchanged = await rig.message(PositionObserved, shard=shard_of("ETHUSDT"))
        assert unchanged.position.amount == 0


async def test_every_proof_arrives_behind_the_events_that_it_covers(simulator: RunningSimulator) -> None:
    shard = shard_of("BTCUSDT")
    checked = 0
    async with listening(simulator) as rig:
        for step in range(1, 150):
            external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal(step) / 1000)
            await trio.sleep(0.01)
        for place, proof in enumerate(rig.messages[shard]):
            if not isinstance(proof, StreamProven):
                continue
            received = [
                message.position.amount
                for message in rig.messages[shard][:place]
                if isinstance(message, PositionObserved)
            ]
            happened = [
                change.amount
                for change in simulator.exchange.history.changes("BTCUSDT")
                if change.wall_time_ms <= proof.as_of.wall_ms
            ]
            assert received[: len(happened)] == happened
            checked += bool(happened)
    assert checked >= 3


async def test_a_frozen_socket_is_noticed_within_three_proof_intervals_and_replaced(
    simulator: RunningSimulator,
) -> None:
    async with listening(simulator) as rig:
        await rig.message(StreamProven, 2)
        frozen = now()
        simulator.streams.freeze("private")
        lost = await rig.message(StreamLost)
        assert frozen.age_sec(lost.at) < 3 * PROOF_SEC + 0.1
        assert rig.book.trust_lost_at == lost.at
        again = await trusted_again(rig)
        assert lost.at.age_sec(again.since) < 1.0


@pytest.mark.parametrize("end", ["disconnect", "reset"])
async def test_a_connection_ended_by_the_exchange_is_replaced(simulator: RunningSimulator, end: str) -> None:
    async with listening(simulator) as rig:
        ended = now()
        await getattr(simulator.streams, end)("private")
        lost = await rig.message(StreamLost)
        assert ended.age_sec(lost.at) < 0.1
        await trusted_again(rig)
        external_events.move_position(simulator.exchange, "ETHUSDT", target=Decimal(1))
        await rig.message(PositionObserved, shard=shard_of("ETHUSDT"))


async def test_the_pings_of_the_exchange_are_answered() -> None:
    exchange = SimulatedExchange()
    impatient = StreamServer(exchange, ping_interval_sec=0.05, pong_timeout_sec=0.5)
    async with running(exchange, streams=impatient) as simulator, listening(simulator) as rig:
        await trio.sleep(1.2)
        assert not rig.messages_of(StreamLost)


async def test_an_expired_listen_key_is_replaced_by_a_new_one(simulator: RunningSimulator) -> None:
    async with listening(simulator) as rig:
        old_key = simulator.exchange.listen_keys.live
        simulator.exchange.expire_listen_key(now=True)
        lost = await rig.message(StreamLost)
        assert "expired" in lost.why
        await trusted_again(rig)
        assert simulator.exchange.listen_keys.live not in (None, old_key)


async def test_a_frame_that_cannot_be_read_loses_trust_until_a_new_connection(
    simulator: RunningSimulator,
) -> None:
    async with listening(simulator) as rig:
        external_events.send_frame(simulator.exchange, b'{"e":"ACCOUNT_UPDATE","T":', "ACCOUNT_UPDATE")
        await rig.message(StreamLost)
        await trusted_again(rig)


async def test_streams_that_are_refused_or_hang_are_tried_until_they_stand(
    simulator: RunningSimulator,
) -> None:
    async with listening(simulator) as rig:
        simulator.exchange.faults.refuse_streams = True
        await simulator.streams.reset("private")
        await rig.message(StreamLost)
        await trio.sleep(0.5)
        simulator.exchange.faults.refuse_streams = False
        simulator.exchange.faults.freeze_new_streams = True
        await trio.sleep(0.7)
        assert len(rig.messages_of(StreamConnected)) == 1
        simulator.exchange.faults.freeze_new_streams = False
        await trusted_again(rig)


async def test_a_rate_limited_exchange_gets_no_request_until_the_limit_ends(
    simulator: RunningSimulator,
) -> None:
    async with listening(simulator) as rig:
        simulator.exchange.faults.rest_fault_paths = [LISTEN_KEY]
        simulator.exchange.faults.rest_faults_next = ["429"]
        asked = requests_for_a_key(simulator)
        await simulator.streams.reset("private")
        lost = await rig.message(StreamLost)
        again = await trusted_again(rig)
        assert lost.at.age_sec(again.since) >= 1.0
        # The refused one, the one after the second that `Retry-After` named, and the keep-alive.
        assert requests_for_a_key(simulator) == asked + 3


async def test_the_listen_key_outlives_the_actor(simulator: RunningSimulator) -> None:
    async with listening(simulator):
        key = simulator.exchange.listen_keys.live
    assert simulator.exchange.listen_keys.live == key
    methods = {record.method for record in simulator.exchange.requests.records(path=LISTEN_KEY)}
    assert methods == {"POST", "PUT"}


@pytest.mark.parametrize("executor", [True, False])
async def test_the_executors_orders_go_to_it_with_their_average_price_and_to_all_others_as_before(
    simulator: RunningSimulator, executor: bool
) -> None:
    parts = Parts(simulator)
    async with parts.rest, listening(simulator, executor=executor) as rig:
        orders = OrderParts(parts)
        for client_order_id in ("web_1", "p33-1"):
            request = orders.request(client_order_id=ClientOrderId(client_order_id))
            assert isinstance(await orders.entry.place_order(request), Accepted)
        fill = await rig.message(FillObserved, 2, shard_of("BTCUSDT"))
        assert fill.client_order_id == "p33-1"
        if rig.own_orders is None:
            return
        [own] = await rig.own_orders.receive_all()
    truth = simulator.exchange.orders.of("BTCUSDT")[-1]
    assert (own.order.order_id, own.order.status) == (str(truth.order_id), OrderStatus.FILLED)
    assert (own.order.cumulative, own.order.average_price) == (Decimal("0.010"), truth.average_price)
    assert own.order.update_ms == fill.transaction_ms
    assert own.received == fill.received
