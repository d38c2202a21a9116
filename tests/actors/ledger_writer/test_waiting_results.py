"""Hedge mode: a result whose ledger has no legs waits until an operator has set them."""

from __future__ import annotations

import trio

from brain.positions.position import Leg
from store.keys import GROUP
from tests.actors.ledger_rig import NO_LATE_RESULTS_SEC, LedgerRig, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time

SYMBOL = "BTCUSDT"
MARK = "D|LONG|close|SELL|0"


async def only_the_sum(rig: LedgerRig, amount: str) -> None:
    """Have the ledger adopted and a plan to close LONG decided; then set the sum alone, as an operator."""
    rig.observe(SYMBOL)
    await trio.sleep(NO_LATE_RESULTS_SEC)
    rig.redis.set(rig.keys.plan_mark("plan"), MARK)
    rig.observe(SYMBOL)
    rig.redis.delete(rig.keys.ledger(SYMBOL))
    rig.redis.hset(rig.keys.ledger(SYMBOL), {"last_known_amt": amount})


def hedged_rig(*, long: str, short: str) -> LedgerRig:
    rig = LedgerRig(hedge_mode=True)
    rig.exchange.set_leg(SYMBOL, Leg.LONG, long, 1)
    rig.exchange.set_leg(SYMBOL, Leg.SHORT, short, 1)
    return rig


async def test_a_result_waits_and_is_shown_while_its_ledger_has_no_legs() -> None:
    rig = hedged_rig(long="4", short="-2")
    async with running_writer(rig):
        await only_the_sum(rig, "2")
        rig.exchange.fill(SYMBOL, "9", "SELL", "1", Leg.LONG)
        entry_id = rig.publish_result(SYMBOL, "9", "SELL", "1")
        for _ in range(20):
            rig.observe(SYMBOL)
            await trio.sleep(1)
        assert (rig.pending(), rig.dead(), rig.amount(SYMBOL)) == (1, [], "2")
        (waiting,) = rig.waiting_results.value or ()
        assert (waiting.entry_id, waiting.symbol, waiting.plan_id) == (entry_id, SYMBOL, "plan")
        assert "long_amt and short_amt" in waiting.why

        rig.redis.hset(rig.keys.ledger(SYMBOL), {"long_amt": "4", "short_amt": "-2"})
        await trio.sleep(5)
        ledger = rig.ledger(SYMBOL)
        assert (ledger["last_known_amt"], ledger["long_amt"], ledger["short_amt"]) == ("1", "3", "-2")
        assert (rig.pending(), rig.waiting_results.value) == (0, ())


async def test_a_waiting_result_is_found_again_after_a_restart_and_delays_no_other() -> None:
    rig = hedged_rig(long="4", short="-2")
    async with running_writer(rig):
        await only_the_sum(rig, "2")
        rig.publish_result(SYMBOL, "9", "SELL", "1")
        await trio.sleep(3)
        assert rig.pending() == 1
    rig.exchange.set_leg("ETHUSDT", Leg.LONG, "0", 1)
    rig.exchange.set_leg("ETHUSDT", Leg.SHORT, "0", 1)
    rig.observe("ETHUSDT")
    async with running_writer(rig):
        rig.observe(SYMBOL)
        rig.observe("ETHUSDT")
        await trio.sleep(61)
        rig.redis.set(rig.keys.plan_mark("other"), "D|LONG|open|BUY|0")
        rig.publish_result("ETHUSDT", "10", "BUY", "1", plan_id="other")
        await trio.sleep(3)
        assert rig.amount("ETHUSDT") == "1"
        assert [waiting.plan_id for waiting in rig.waiting_results.value or ()] == ["plan"]
        assert rig.pending() == 1


async def test_a_fill_is_booked_on_a_sum_alone_if_the_other_leg_is_flat() -> None:
    rig = hedged_rig(long="4", short="0")
    async with running_writer(rig):
        await only_the_sum(rig, "4")
        rig.exchange.fill(SYMBOL, "9", "SELL", "4", Leg.LONG)
        rig.observe(SYMBOL)
        rig.publish_result(SYMBOL, "9", "SELL", "4")
        await trio.sleep(5)
        ledger = rig.ledger(SYMBOL)
        assert (ledger["last_known_amt"], ledger["long_amt"], ledger["short_amt"]) == ("0", "0", "0")
        assert (rig.pending(), rig.dead(), rig.waiting_results.value) == (0, [], ())


async def test_a_waiting_result_survives_the_loss_of_its_group() -> None:
    rig = hedged_rig(long="4", short="-2")
    rig.exchange.set_leg("ETHUSDT", Leg.LONG, "0", 1)
    rig.exchange.set_leg("ETHUSDT", Leg.SHORT, "0", 1)
    async with running_writer(rig):
        rig.observe("ETHUSDT")
        await only_the_sum(rig, "2")
        rig.redis.set(rig.keys.plan_mark("other"), "D|LONG|open|BUY|0")
        entry_id = rig.publish_result(SYMBOL, "9", "SELL", "1")
        rig.publish_result("ETHUSDT", "10", "BUY", "1", plan_id="other")
        await trio.sleep(3)
        assert rig.amount("ETHUSDT") == "1"
        rig.redis.xgroup_destroy(rig.keys.results, GROUP)
        await trio.sleep(5)
        assert [waiting.entry_id for waiting in rig.waiting_results.value or ()] == [entry_id]
        rig.redis.hset(rig.keys.ledger(SYMBOL), {"long_amt": "4", "short_amt": "-2"})
        await trio.sleep(5)
        assert (rig.amount(SYMBOL), rig.amount("ETHUSDT"), rig.pending()) == ("1", "1", 0)


async def test_the_position_of_a_waiting_result_is_known_to_be_current() -> None:
    """The reconcile engine can say what is wrong: the legs, and not that the position is old."""
    rig = hedged_rig(long="4", short="-2")
    async with running_writer(rig):
        await only_the_sum(rig, "2")
        rig.exchange.fill(SYMBOL, "9", "SELL", "1", Leg.LONG)
        rig.publish_result(SYMBOL, "9", "SELL", "1")
        for _ in range(200):
            await trio.sleep(0.1)
            rig.observe(SYMBOL)
            snapshot = rig.book.get(SYMBOL)
            assert snapshot is not None and rig.results.all_in(snapshot)
        assert rig.pending() == 1
