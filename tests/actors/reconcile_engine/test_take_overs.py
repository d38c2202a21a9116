"""Restarts and the lease: another engine goes on where one stopped, and a standby does nothing."""

from __future__ import annotations

import trio

from channels import Lease
from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_another_engine_goes_on_with_a_hold_that_it_finds(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
    sig = rig.held_by("BTCUSDT")
    async with running_engine(rig):
        assert rig.held_by("BTCUSDT") == sig
        await trio.sleep(10)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED"]
        case = rig.case("BTCUSDT")
        assert case is not None
        assert case.held


async def test_a_hold_that_is_found_and_has_no_drift_any_more_is_released(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
    rig.agree("BTCUSDT", "1")
    async with running_engine(rig):
        await trio.sleep(3)
        assert rig.held_by("BTCUSDT") == ""
        assert rig.told("BTCUSDT")[-1] == "HOLD_CLEARED"
        assert rig.status("BTCUSDT") == "OK"


async def test_an_agreement_is_remembered_over_a_restart_while_the_ledger_has_its_version(
    rig: ReconcileRig,
) -> None:
    """A manual trade was accepted before; it must not count again, whoever looks."""
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-old")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        rig.redis.delete(rig.keys.order_memory("BTCUSDT"))
        await trio.sleep(30)
    rig.own_order("p33-new")
    rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-new")
    async with running_engine(rig):
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "3"


async def test_without_the_lease_nothing_is_written(rig: ReconcileRig) -> None:
    rig.lease.send(Lease(None, "other"))
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(20)
        assert rig.events() == []
        assert rig.history.requests == []
        assert rig.held_by("BTCUSDT") == ""
        await rig.take_lease()
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "1"


async def test_a_lease_that_is_lost_unnoticed_stops_every_write(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.redis.set(rig.keys.lease, "7@x:other")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(20)
        assert rig.amount("BTCUSDT") == "0"
        assert rig.held_by("BTCUSDT") == ""
        assert rig.history.requests == []


async def test_an_engine_that_is_cancelled_in_a_look_leaves_a_hold_that_the_next_one_ends(
    rig: ReconcileRig,
) -> None:
    rig.agree("BTCUSDT", "100")
    rig.own_order("p33-a")
    rig.history.latency_sec = 5
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="p33-a")
        await trio.sleep(4)
    assert rig.held_by("BTCUSDT").startswith("p34:")
    rig.history.latency_sec = 0.05
    async with running_engine(rig):
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "100.5"
        assert rig.held_by("BTCUSDT") == ""


async def test_the_state_of_a_case_that_is_over_is_set_right_by_the_next_engine(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "1")
    rig.redis.delete(rig.keys.ledger("BTCUSDT"))
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.status("BTCUSDT") == "DRIFT"
    rig.agree("BTCUSDT", "1")
    async with running_engine(rig):
        await trio.sleep(5)
        assert rig.status("BTCUSDT") == "OK"
        assert rig.told("BTCUSDT") == ["DRIFT"]


async def test_a_noted_agreement_bounds_the_search_however_long_nothing_looked(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "1")
    rig.own_order("p33-a")
    async with running_engine(rig):
        await trio.sleep(10)
    rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
    await trio.sleep(1800)
    async with running_engine(rig):
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "3"


async def test_an_engine_without_the_lease_shows_and_reads_nothing(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        assert rig.case("BTCUSDT") is not None
        rig.lease.send(Lease(None, "other"))
        await trio.sleep(2)
        assert rig.reconcile is not None
        assert rig.reconcile.value is None
        with rig.store.faults.outage():
            await trio.sleep(5)
        looks = len(rig.history.requests)
        await trio.sleep(200)
        assert len(rig.history.requests) == looks
