"""The shadow lives the same life below names of its own, and changes nothing that others read."""

from __future__ import annotations

import pytest
import trio

from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.fixture
async def rig() -> ReconcileRig:
    return ReconcileRig(reconcile_rules({"P33_RECONCILE": "shadow"}))


def real_keys(rig: ReconcileRig) -> dict[str, bytes | dict[bytes, bytes] | None]:
    """All keys that others read, with their values."""
    names = [key for key in list(rig.redis.keys()) if ":shadow:" not in key]
    kinds = {key: rig.redis.kind(key) for key in names}
    return {
        key: rig.redis.hgetall(key) if kind == "hash" else rig.redis.get(key)
        for key, kind in kinds.items()
        if kind in ("hash", "string") and not key.endswith(("lease", "fence"))
    }


async def test_a_lost_fill_is_found_and_not_booked(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    before = real_keys(rig)
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(60)
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]
        assert rig.held_by("BTCUSDT") == ""
        assert rig.status("BTCUSDT") == "REPAIRED"
        assert real_keys(rig) == before
        case = rig.case("BTCUSDT")
        assert case is not None
        assert case.status == "REPAIRED"
        # The engine that is not in the shadow repairs it.
        rig.ledger("BTCUSDT", "1", version="2")
        await trio.sleep(6)
        assert rig.case("BTCUSDT") is None


async def test_another_drift_of_the_same_symbol_is_a_case_again(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(10)
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        assert "MANUAL_REQUIRED" in rig.told("BTCUSDT")


async def test_evidence_is_read_under_the_shadows_own_hold(rig: ReconcileRig) -> None:
    seen: list[str] = []
    rig.history.on_request = lambda _request: seen.append(rig.held_by("BTCUSDT"))
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(70)
        assert len(seen) == 4
        assert all(each.startswith("p34:") for each in seen)
        assert rig.redis.get(rig.real.hold("BTCUSDT")) is None


async def test_a_real_hold_of_another_is_waited_for(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "p34:0123456789ab")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(20)
        assert rig.history.requests == []
        assert rig.status("BTCUSDT") == "DRIFT"
