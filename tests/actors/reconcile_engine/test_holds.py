"""The hold stands first, is renewed, and is given back; those of others are left alone."""

from __future__ import annotations

import pytest
import trio

from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time

OTHERS = ["operator:jane", "governor:x", "", "exec:p33-b"]


async def until_held(rig: ReconcileRig, symbol: str) -> float:
    """Wait for an own hold; return how long that took."""
    for hundredths in range(2000):
        if rig.held_by(symbol).startswith("p34:"):
            return hundredths / 100
        await trio.sleep(0.01)
    raise TimeoutError(symbol)


@pytest.mark.parametrize("after_sec", [0.0, 0.3, 0.7, 0.95])
async def test_a_drift_is_held_after_the_settle_time_and_a_cadence_at_most(
    rig: ReconcileRig, after_sec: float
) -> None:
    async with running_engine(rig):
        await trio.sleep(after_sec)
        rig.trade("BTCUSDT", "BUY", "1")
        took_sec = await until_held(rig, "BTCUSDT")
        assert 2.0 <= took_sec <= 2.3  # the change itself was the first sight
        assert rig.text(rig.own.hold_reason("BTCUSDT")) == "qty_mismatch"
        assert rig.text(rig.own.hold("BTCUSDT")) == "1"
        assert 290_000 < rig.redis.pttl(rig.own.hold("BTCUSDT")) <= 300_000


async def test_a_correction_of_the_ledger_by_hand_is_held_within_settle_time_and_cadence(
    rig: ReconcileRig,
) -> None:
    async with running_engine(rig):
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "5"})
        assert await until_held(rig, "BTCUSDT") <= 3.2


async def test_a_difference_that_settles_by_itself_is_no_case(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        for number in range(10):
            rig.move("BTCUSDT", "1")
            await trio.sleep(1.5)
            rig.ledger("BTCUSDT", str(number + 1), version=str(number + 2))
            await trio.sleep(0.5)
        assert rig.events() == []
        assert rig.history.requests == []
        assert rig.held_by("BTCUSDT") == ""


async def test_a_difference_that_open_permits_cover_is_no_case(rig: ReconcileRig) -> None:
    ends_ms = rig.clock.now().wall_ms + 30_000
    rig.redis.hset(rig.keys.open_permits("BTCUSDT"), {"v": "1", "p:a": f"BOTH|open|BUY|1|{ends_ms}"})
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(20)
        assert rig.events() == []
        assert await until_held(rig, "BTCUSDT") > 7


async def test_the_hold_stands_before_the_first_request_and_until_the_last(rig: ReconcileRig) -> None:
    seen: list[str] = []
    rig.history.on_request = lambda _request: seen.append(rig.held_by("BTCUSDT"))
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(200)
    assert len(seen) >= 4
    assert all(each.startswith("p34:") for each in seen)


async def test_a_hold_is_renewed_for_as_long_as_the_drift_lasts(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await until_held(rig, "BTCUSDT")
        for _ in range(100):
            await trio.sleep(9)
            assert rig.redis.pttl(rig.own.hold("BTCUSDT")) >= 140_000
    assert rig.told("BTCUSDT").count("HOLD_SET") == 1


@pytest.mark.parametrize("owner", OTHERS)
async def test_the_hold_of_another_is_waited_for_without_a_request(rig: ReconcileRig, owner: str) -> None:
    rig.own_order("p33-a")
    rig.own_order("p33-b", phase="unknown")
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", owner)
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(60)
        assert rig.history.requests == []
        assert rig.amount("BTCUSDT") == "0"
        assert rig.text(rig.real.hold_sig("BTCUSDT")) == owner
        assert rig.redis.pttl(rig.real.hold("BTCUSDT")) == -1
        assert rig.status("BTCUSDT") == "DRIFT"
        assert rig.told("BTCUSDT") == ["DRIFT"]
        case = rig.case("BTCUSDT")
        assert case is not None
        assert (case.held, case.held_by) == (False, owner)
        rig.release("BTCUSDT")
        await trio.sleep(2)
        assert rig.amount("BTCUSDT") == "1"


@pytest.mark.parametrize("phase", ["final", "orphan"])
async def test_a_hold_of_the_executor_for_an_order_that_is_over_is_taken_over(
    rig: ReconcileRig, phase: str
) -> None:
    rig.own_order("p33-b", phase=phase)
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "exec:p33-b")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-b")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.text(rig.real.hold("BTCUSDT")) == ""


async def test_a_hold_of_the_executor_for_an_orphan_that_is_booked_already_is_lifted(
    rig: ReconcileRig,
) -> None:
    rig.own_order("p33-b", phase="orphan")
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "exec:p33-b")
        await trio.sleep(10)
        assert rig.text(rig.real.hold("BTCUSDT")) == ""


async def test_a_hold_of_an_undecided_order_stays_although_both_sides_agree(rig: ReconcileRig) -> None:
    rig.own_order("p33-b", phase="unknown")
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "exec:p33-b")
        await trio.sleep(60)
        assert rig.text(rig.real.hold_sig("BTCUSDT")) == "exec:p33-b"
        assert rig.events() == []


async def test_the_hold_is_released_once_both_agree_for_long_enough(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "1"})
        await trio.sleep(2.5)
        assert rig.held_by("BTCUSDT").startswith("p34:")
        await trio.sleep(2)
        assert rig.held_by("BTCUSDT") == ""
        assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED", "HOLD_CLEARED"]
        assert rig.status("BTCUSDT") == "OK"
        assert rig.case("BTCUSDT") is None


async def test_an_agreement_that_does_not_last_releases_nothing(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        for _ in range(10):
            rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "1"})
            await trio.sleep(1.8)
            rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0"})
            await trio.sleep(1.2)
        assert rig.held_by("BTCUSDT").startswith("p34:")
        assert "HOLD_CLEARED" not in rig.told("BTCUSDT")


async def test_a_hold_that_redis_has_lost_is_set_again_without_another_event(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        rig.release("BTCUSDT")
        await trio.sleep(1.2)
        assert rig.held_by("BTCUSDT").startswith("p34:")
        assert rig.told("BTCUSDT").count("HOLD_SET") == 1


async def test_within_the_tolerance_nothing_is_held_between_looks(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "100")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        held_sec = 0.0
        for _ in range(1200):
            await trio.sleep(0.1)
            held_sec += 0.1 if rig.held_by("BTCUSDT") else 0
        assert held_sec < 1.5
        assert rig.amount("BTCUSDT") == "100"
        assert rig.status("BTCUSDT") == "DRIFT"
        assert rig.told("BTCUSDT") == ["DRIFT"]
        assert rig.events("BTCUSDT")[0]["cause"] == "manual"


async def test_a_hold_on_unknown_positions_is_set_only_where_the_setting_says_so() -> None:
    for text, held in (("false", False), ("true", True)):
        rig = ReconcileRig(reconcile_rules({"P34_HOLD_ON_STALE": text}))
        rig.agree("BTCUSDT", "1")
        async with running_engine(rig):
            rig.unproven.add("BTCUSDT")
            await trio.sleep(30)
            assert bool(rig.held_by("BTCUSDT")) is held
            assert rig.state("BTCUSDT")["reason"] == "stale_exchange"
            rig.unproven.clear()
            await trio.sleep(6)
            assert rig.held_by("BTCUSDT") == ""
            assert rig.status("BTCUSDT") == "OK"


async def test_the_hold_is_set_as_soon_as_that_of_another_expires(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "operator:jane")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(5)
        for key in (rig.real.hold("BTCUSDT"), rig.real.hold_reason("BTCUSDT"), rig.real.hold_sig("BTCUSDT")):
            rig.redis.pexpire(key, 7_300)
        await trio.sleep(7.25)
        assert rig.held_by("BTCUSDT") == "operator:jane"
        assert await until_held(rig, "BTCUSDT") <= 0.12
