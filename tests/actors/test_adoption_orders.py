"""Fills, pushes, adoption, decision and results in every possible order: the ledger equals the exchange."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import permutations

import pytest
import trio

from brain.positions.position import Leg
from supervision import Heartbeat
from tests.actors.ledger_rig import LedgerRig
from tests.virtual_time import virtual_time

pytestmark = [pytest.mark.simulation, virtual_time]

Order = tuple[str, ...]

#: A fill comes before its pushes and results, and an order's fills come in sequence.
CAUSES = {
    "fill 2": "fill 1",
    "push 1": "fill 1",
    "push 2": "fill 2",
    "result 1": "fill 1",
    "result 2": "fill 2",
    "push long": "fill long",
    "push short": "fill short",
    "result long": "fill long",
    "result short": "fill short",
}
PARTS = {"fill 1": "0.3", "fill 2": "0.7"}
REPORTS = {"result 1": "0.3", "result 2": "1.0"}
MARK = "D|BOTH|close|BUY|0"
TWO_PARTS = ("fill 1", "fill 2", "start", "result 1", "result 2")


def consistent_orders(steps: Collection[str]) -> Iterator[Order]:
    """Yield the orders of `steps` in which each step comes after its cause."""
    for order in permutations(steps):
        at = {step: number for number, step in enumerate(order)}
        if all(at[CAUSES[step]] < at[step] for step in order if step in CAUSES):
            yield order


async def ledger_after(order: Order, *, observed: bool, with_side: bool = True) -> LedgerRig:
    """Run the steps in this order, and 70 s more."""
    rig = LedgerRig()
    rig.exchange.set("ETHUSDT", "-2", update_time_ms=5)
    rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
    await rig.store.results.create(lost=False)
    rig.observe("ETHUSDT")
    rig.observe("BTCUSDT")
    async with trio.open_nursery() as nursery:
        for step in order:
            await trio.sleep(0.05)
            match step.split():
                case ["fill", _]:
                    rig.exchange.fill("ETHUSDT", "1", "BUY", PARTS[step])
                    if observed:
                        rig.observe("ETHUSDT")
                case ["push", number]:
                    rig.push_fill("ETHUSDT", "1", "BUY", number=int(number) - 1)
                case ["result", number]:
                    status = "PARTIALLY_FILLED" if number == "1" else "FILLED"
                    side = "BUY" if with_side else ""
                    rig.publish_result("ETHUSDT", "1", side, REPORTS[step], status=status)
                case ["plan"]:
                    rig.redis.set(rig.keys.plan_mark("plan"), MARK)
                case _:
                    await rig.take_lease()
                    nursery.start_soon(rig.writer().run, Heartbeat())
        rig.observe("ETHUSDT")
        await trio.sleep(70)
        nursery.cancel_scope.cancel()
    return rig


@pytest.mark.parametrize("observed", [True, False])
@pytest.mark.parametrize("pushes", [("push 1", "push 2"), ("push 1",), ("push 2",), ()])
async def test_an_order_filled_in_two_parts_counts_once_whichever_pushes_are_lost(
    pushes: Order, observed: bool
) -> None:
    orders = list(consistent_orders((*TWO_PARTS, *pushes)))
    assert len(orders) == {2: 280, 1: 72 if "push 2" not in pushes else 48, 0: 15}[len(pushes)]
    for order in orders:
        rig = await ledger_after(order, observed=observed)
        assert (rig.amount("ETHUSDT"), rig.pending(), rig.dead()) == ("-1", 0, []), order
        assert [e["event"] for e in rig.events()] == ["LEDGER_ADOPTED"], order


@pytest.mark.parametrize("lost", ["push 1", "push 2"])
async def test_one_result_that_reports_both_parts_counts_them_once(lost: str) -> None:
    for order in consistent_orders({"fill 1", "fill 2", "start", "result 2", "push 1", "push 2"} - {lost}):
        rig = await ledger_after(order, observed=False)
        assert (rig.amount("ETHUSDT"), rig.pending()) == ("-1", 0), order


async def test_the_decision_may_be_remembered_before_or_after_anything_else() -> None:
    for order in consistent_orders(("fill 1", "push 1", "start", "result 1", "plan")):
        rig = await ledger_after(order, observed=True)
        assert (rig.amount("ETHUSDT"), rig.pending(), rig.dead()) == ("-1.7", 0, []), order


async def test_a_result_without_a_side_takes_that_of_the_decision_before_it() -> None:
    for order in consistent_orders(("fill 1", "push 1", "start", "result 1")):
        rig = await ledger_after(("plan", *order), observed=True, with_side=False)
        assert (rig.amount("ETHUSDT"), rig.pending(), rig.dead()) == ("-1.7", 0, []), order


LEGS = {"long": (Leg.LONG, "1", "0.5"), "short": (Leg.SHORT, "2", "0.25")}
TWO_LEGS = ("fill long", "fill short", "start", "result long", "result short")


async def legs_after(order: Order) -> LedgerRig:
    """Run the steps in this order in hedge mode: the long leg grows, the short one is partly closed."""
    rig = LedgerRig(hedge_mode=True)
    rig.exchange.set_leg("ETHUSDT", Leg.LONG, "3", 5)
    rig.exchange.set_leg("ETHUSDT", Leg.SHORT, "-2", 7)
    for plan_id, kind in (("long", "open"), ("short", "close")):
        rig.redis.set(rig.keys.plan_mark(plan_id), f"D|{plan_id.upper()}|{kind}|BUY|0")
    await rig.store.results.create(lost=False)
    rig.observe("ETHUSDT")
    async with trio.open_nursery() as nursery:
        for step in order:
            await trio.sleep(0.05)
            if step == "start":
                await rig.take_lease()
                nursery.start_soon(rig.writer().run, Heartbeat())
                continue
            what, plan_id = step.split()
            leg, order_id, quantity = LEGS[plan_id]
            if what == "fill":
                rig.exchange.fill("ETHUSDT", order_id, "BUY", quantity, leg)
                rig.observe("ETHUSDT")
            elif what == "push":
                rig.push_fill("ETHUSDT", order_id, "BUY", leg=leg)
            else:
                rig.publish_result("ETHUSDT", order_id, "BUY", quantity, plan_id=plan_id)
        await trio.sleep(70)
        nursery.cancel_scope.cancel()
    return rig


@pytest.mark.parametrize("pushes", [(), ("push long",), ("push short",)])
async def test_each_leg_contains_its_fills_until_a_moment_of_its_own(pushes: Order) -> None:
    for order in consistent_orders((*TWO_LEGS, *pushes)):
        rig = await legs_after(order)
        ledger = rig.ledger("ETHUSDT")
        amounts = [ledger[name] for name in ("long_amt", "short_amt", "last_known_amt")]
        assert (amounts, rig.pending(), rig.dead()) == (["3.5", "-1.75", "1.75"], 0, []), order
