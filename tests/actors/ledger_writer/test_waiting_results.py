"""Hedge mode: a result whose ledger tells no legs waits until an operator has set them."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from brain.positions.position import Leg
from store.keys import GROUP
from tests.actors.ledger_rig import LedgerRig, running_writer

SYMBOL = "BTCUSDT"
MARK = "D|LONG|close|SELL|0"


async def adopted_long_ago(rig: LedgerRig) -> None:
    """The ledger was adopted, and a plan to close LONG was decided."""
    rig.observe(SYMBOL)
    await trio.sleep(61)
    rig.redis.set(rig.keys.plan_mark("plan"), MARK)
    rig.observe(SYMBOL)


def hedged_rig(*, long: str, short: str) -> LedgerRig:
    rig = LedgerRig(hedge_mode=True)
    rig.exchange.set_leg(SYMBOL, Leg.LONG, long, 1)
    rig.exchange.set_leg(SYMBOL, Leg.SHORT, short, 1)
    return rig


def only_the_sum(rig: LedgerRig, amount: str) -> None:
    """An operator deletes the ledger and sets one field of it."""
    rig.redis.delete(rig.keys.ledger(SYMBOL))
    rig.redis.hset(rig.keys.ledger(SYMBOL), {"last_known_amt": amount})


async def test_a_result_waits_named_while_the_ledger_tells_no_legs(autojump_clock: MockClock) -> None:
    rig = hedged_rig(long="4", short="-2")
    async with running_writer(rig):
        await adopted_long_ago(rig)
        only_the_sum(rig, "2")
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


async def test_a_result_that_waits_is_found_again_after_a_restart_and_holds_up_no_other(
    autojump_clock: MockClock,
) -> None:
    rig = hedged_rig(long="4", short="-2")
    async with running_writer(rig):
        await adopted_long_ago(rig)
        only_the_sum(rig, "2")
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


async def test_where_the_other_leg_is_flat_the_sum_tells_the_legs_and_the_fill_is_booked(
    autojump_clock: MockClock,
) -> None:
    rig = hedged_rig(long="4", short="0")
    async with running_writer(rig):
        await adopted_long_ago(rig)
        only_the_sum(rig, "4")
        rig.exchange.fill(SYMBOL, "9", "SELL", "4", Leg.LONG)
        rig.observe(SYMBOL)
        rig.publish_result(SYMBOL, "9", "SELL", "4")
        await trio.sleep(5)
        ledger = rig.ledger(SYMBOL)
        assert (ledger["last_known_amt"], ledger["long_amt"], ledger["short_amt"]) == ("0", "0", "0")
        assert (rig.pending(), rig.dead(), rig.waiting_results.value) == (0, [], ())


async def test_a_result_that_waits_outlives_the_loss_of_its_group(autojump_clock: MockClock) -> None:
    rig = hedged_rig(long="4", short="-2")
    rig.exchange.set_leg("ETHUSDT", Leg.LONG, "0", 1)
    rig.exchange.set_leg("ETHUSDT", Leg.SHORT, "0", 1)
    async with running_writer(rig):
        rig.observe("ETHUSDT")
        await adopted_long_ago(rig)
        rig.redis.set(rig.keys.plan_mark("other"), "D|LONG|open|BUY|0")
        only_the_sum(rig, "2")
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
