"""Connecting the private stream, and stopping its actor. Virtual time."""

from __future__ import annotations

from itertools import pairwise

import trio

from channels import StreamConnected, StreamLost, StreamProven
from exchange.errors import ExchangeUnavailable, RateLimited
from tests.actors.stream_rig import SHARDS, FakeRig
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_connecting_is_tried_with_growing_pauses_and_named_as_the_wait(rig: FakeRig) -> None:
    rig.binance.refusals = [ExchangeUnavailable("503")] * 14
    async with rig.running():
        await trio.sleep(1.0)
        assert rig.heartbeat is not None
        assert [wait.what for wait in rig.heartbeat.waits()] == ["Binance's private stream"]
        await rig.binance.connected()
        pauses = [later - earlier for earlier, later in pairwise(rig.binance.attempts_sec)]
        assert len(pauses) == 14
        assert pauses[0] < 0.5
        assert all(10 <= pause <= 20.1 for pause in pauses[-4:])
        assert len({round(pause, 2) for pause in pauses[-4:]}) == 4, "no two the same"
        assert not rig.messages_of(StreamLost)
        await rig.message(StreamProven)
        assert rig.heartbeat.waits() == []


async def test_an_exchange_that_refuses_for_half_a_day_is_tried_on() -> None:
    rig = FakeRig(within_sec=24 * 3600.0)
    rig.binance.refusals = [ExchangeUnavailable("503")] * 2_500
    async with rig.connected() as line:
        assert line.opened_sec > 8 * 3600
        assert len(rig.binance.attempts_sec) == 2_501


async def test_no_request_is_made_before_a_ban_ends(rig: FakeRig) -> None:
    async with rig.connected() as line:
        await rig.message(StreamProven)
        until = rig.clock.now().earlier_by(-90.0)
        rig.binance.refusals = [RateLimited(until, "429")]
        line.hang_up()
        await rig.binance.connected(2)
        assert len(rig.binance.attempts_sec) == 3
        assert rig.binance.attempts_sec[2] >= until.monotonic_sec


async def test_stopping_loses_trust_and_a_restarted_actor_counts_on(rig: FakeRig) -> None:
    async with rig.running():
        await rig.message(StreamProven)
    lost = await lost_of(rig)
    assert (lost.epoch, rig.book.trust_lost_at) == (1, lost.at)
    async with rig.running():
        assert (await rig.message(StreamConnected, 2)).epoch == 2


async def lost_of(rig: FakeRig) -> StreamLost:
    for shard in range(SHARDS):
        if rig.inboxes[shard].depth:
            rig.messages[shard] += await rig.inboxes[shard].receive_all()
    return rig.messages_of(StreamLost)[0]
