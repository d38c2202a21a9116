"""One role, one player: the engine waits while another reconcile engine works."""

from __future__ import annotations

import pytest
import trio

from channels import Lease
from supervision import Heartbeat
from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def other_writes(rig: ReconcileRig, symbol: str, age_sec: float = 0.0) -> None:
    """Another engine writes the state of a symbol as the predecessor does."""
    seen_ts = str(int(rig.clock.now().wall_ms / 1000 - age_sec))
    rig.redis.hset(rig.real.state(symbol), {"status": "OK", "reason": "", "last_seen_ts": seen_ts})


async def drift(rig: ReconcileRig) -> None:
    """An own fill is not booked."""
    rig.own_order("p33-a")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")


async def test_the_engine_waits_until_another_has_stopped_for_30_s(rig: ReconcileRig) -> None:
    other_writes(rig, "ETHUSDT", age_sec=3)
    heartbeat = Heartbeat()
    async with running_engine(rig, heartbeat=heartbeat):
        await drift(rig)
        (wait,) = heartbeat.waits()
        written = rig.real.state("ETHUSDT")
        assert wait.what.startswith(f"another reconcile engine has written `{written}`, ")
        await trio.sleep(20)
        assert (rig.amount("BTCUSDT"), rig.held_by("BTCUSDT"), rig.history.requests) == ("0", "", [])
        await trio.sleep(20)
        assert rig.amount("BTCUSDT") == "1"


async def test_one_that_begins_beside_it_stops_the_engine_until_it_stops(rig: ReconcileRig) -> None:
    heartbeat = Heartbeat()
    async with running_engine(rig, heartbeat=heartbeat):
        rig.trade("XRPUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        held_ms = rig.redis.pttl(rig.own.hold("XRPUSDT"))
        for _ in range(60):
            other_writes(rig, "XRPUSDT")
            await trio.sleep(2)
        assert any("another reconcile engine" in wait.what for wait in heartbeat.waits())
        await drift(rig)
        await trio.sleep(20)
        assert rig.amount("BTCUSDT") == "0"
        assert rig.redis.pttl(rig.own.hold("XRPUSDT")) <= held_ms - 120_000
        await trio.sleep(20)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.status("XRPUSDT") == "MANUAL_REQUIRED"


@pytest.mark.parametrize("age_sec", [31, -100, 86_000])
async def test_an_old_state_of_another_is_no_reason_to_wait(rig: ReconcileRig, age_sec: float) -> None:
    other_writes(rig, "ETHUSDT", age_sec=age_sec)
    async with running_engine(rig):
        await drift(rig)
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"


@pytest.mark.parametrize("changes", [{"P33_TAKE_OVER": "true"}, {"P33_RECONCILE": "shadow"}])
async def test_a_take_over_and_the_shadow_do_not_wait(changes: dict[str, str]) -> None:
    rig = ReconcileRig(reconcile_rules(changes))
    other_writes(rig, "ETHUSDT")
    async with running_engine(rig):
        await drift(rig)
        await trio.sleep(5)
        assert rig.status("BTCUSDT") == "REPAIRED"


async def test_a_lease_that_is_lost_in_the_wait_ends_it(rig: ReconcileRig) -> None:
    other_writes(rig, "ETHUSDT")
    heartbeat = Heartbeat()
    async with running_engine(rig, heartbeat=heartbeat):
        rig.lease.send(Lease(None, "other"))
        await trio.sleep(5)
        assert [wait.what for wait in heartbeat.waits()] == ["the lease, held by other"]


async def test_an_engine_after_another_of_ours_does_not_wait(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
    heartbeat = Heartbeat()
    async with running_engine(rig, heartbeat=heartbeat):
        assert not heartbeat.waits()
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
