"""Connecting the private stream, and stopping its actor. Virtual time."""

from __future__ import annotations

from itertools import pairwise

import trio

from channels import StreamConnected, StreamLost, StreamProven
from exchange.errors import ExchangeUnavailable, RateLimited
from tests.actors.stream_fakes import FakeBinance, SleepyClock
from tests.actors.stream_rig import SHARDS, StreamRig
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_connecting_is_tried_with_growing_pauses_and_named_as_the_wait(
    rig: StreamRig, binance: FakeBinance
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
        assert len({round(pause, 2) for pause in pauses[-4:]}) == 4, "no two the same"
        assert not rig.messages_of(StreamLost)
        await rig.message(StreamProven)
        assert rig.heartbeat.waits() == []


async def test_an_exchange_that_refuses_for_half_a_day_is_tried_on(
    binance: FakeBinance, clock: SleepyClock
) -> None:
    rig = StreamRig(binance, binance, clock, within_sec=24 * 3600.0)
    binance.refusals = [ExchangeUnavailable("503")] * 2_500
    async with rig.running():
        line = await binance.connected()
        assert line.opened_sec > 8 * 3600
        assert len(binance.attempts_sec) == 2_501


async def test_no_request_is_made_before_a_ban_ends(
    rig: StreamRig, binance: FakeBinance, clock: SleepyClock
) -> None:
    async with rig.running():
        line = await binance.connected()
        await rig.message(StreamProven)
        until = clock.now().earlier_by(-90.0)
        binance.refusals = [RateLimited(until, "429")]
        line.hang_up()
        await binance.connected(2)
        assert len(binance.attempts_sec) == 3
        assert binance.attempts_sec[2] >= until.monotonic_sec


async def test_stopping_loses_trust_and_a_restarted_actor_counts_on(
    rig: StreamRig, binance: FakeBinance
) -> None:
    async with rig.running():
        await rig.message(StreamProven)
    lost = await lost_of(rig)
    assert (lost.epoch, rig.book.trust_lost_at) == (1, lost.at)
    async with rig.running():
        assert (await rig.message(StreamConnected, 2)).epoch == 2


async def lost_of(rig: StreamRig) -> StreamLost:
    for shard in range(SHARDS):
        if rig.inboxes[shard].depth:
            rig.messages[shard] += await rig.inboxes[shard].receive_all()
    return rig.messages_of(StreamLost)[0]
