"""What a wider P34_ALLOWLIST has left is ended by a narrower one."""

from __future__ import annotations

import trio

from brain.identifiers import Symbol
from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def narrowed(rig: ReconcileRig) -> None:
    """Restart with `P34_ALLOWLIST` for ETHUSDT alone."""
    rig.rules = reconcile_rules({"P34_ALLOWLIST": "ETHUSDT"})
    async with running_engine(rig, rig.make()):
        await trio.sleep(5)


async def test_the_case_and_the_hold_of_a_symbol_that_is_left_out_are_ended(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            rig.trade(symbol, "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
    await narrowed(rig)
    assert (rig.held_by("BTCUSDT"), rig.status("BTCUSDT")) == ("", "OK")
    assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED", "HOLD_CLEARED"]
    state = rig.state("BTCUSDT")
    assert state["why"] == "P34_ALLOWLIST does not name the symbol"
    assert [state[name] for name in ("reason", "diff_amt", "advice", "cause")] == [""] * 4
    assert (rig.held_by("ETHUSDT")[:4], rig.status("ETHUSDT")) == ("p34:", "MANUAL_REQUIRED")


async def test_the_hold_of_another_on_a_symbol_that_is_left_out_is_untouched(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "operator:jane")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
    await narrowed(rig)
    assert (rig.held_by("BTCUSDT"), rig.status("BTCUSDT")) == ("operator:jane", "OK")
    assert rig.told("BTCUSDT") == ["DRIFT"]


async def test_a_key_of_a_wrong_type_does_not_stop_the_others(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        for symbol in ("BTCUSDT", "SOLUSDT"):
            rig.trade(symbol, "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
    rig.redis.delete(rig.own.state("BTCUSDT"))
    rig.redis.set(rig.own.state("BTCUSDT"), "x")
    await narrowed(rig)
    assert rig.status("SOLUSDT") == "OK"


async def test_a_symbol_that_is_left_out_is_not_compared_when_it_moves() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_ALLOWLIST": "ETHUSDT"}))
    assert rig.moved_ledgers is not None
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        rig.ledger("SOLUSDT", "1")
        rig.moved_ledgers.send(Symbol("SOLUSDT"))
        await trio.sleep(10)
        assert rig.events() == []
        assert rig.history.requests == []
        assert rig.held_by("BTCUSDT") == ""
