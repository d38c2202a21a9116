"""Orders behind the trades of a look: read by pages, and again only where they may have changed."""

from __future__ import annotations

import trio

from tests.actors.reconcile_rig import ReconcileRig, running_engine, shown_orders
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_orders_beyond_a_page_are_read_page_by_page(rig: ReconcileRig) -> None:
    rig.history.page = 100
    async with running_engine(rig):
        for number in range(450):
            rig.own_order(f"p33-{number}")
            rig.history.fill("BTCUSDT", "BUY", "1", client_order_id=f"p33-{number}")
        rig.move("BTCUSDT", "450")
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "450"
        assert [each.method for each in rig.history.requests] == ["trades"] * 5 + ["orders"] * 5


async def test_of_orders_beyond_a_page_those_that_no_list_shows_are_asked_for_alone(
    rig: ReconcileRig,
) -> None:
    rig.history.page = 10
    async with running_engine(rig):
        for number in range(25):
            rig.own_order(f"p33-{number}")
            rig.history.fill("BTCUSDT", "BUY", "1", client_order_id=f"p33-{number}", forced=number in (0, 24))
        rig.move("BTCUSDT", "25")
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "25"
        methods = [each.method for each in rig.history.requests]
        assert methods == ["trades"] * 3 + ["orders"] * 2 + ["order"] * 5


async def test_orders_are_not_read_again_by_later_looks(rig: ReconcileRig) -> None:
    """They are old enough to be shown as they are."""
    async with running_engine(rig):
        for number in range(40):
            rig.history.fill("BTCUSDT", "BUY", "1", client_order_id=f"web_{number}")
        rig.move("BTCUSDT", "40")
        await trio.sleep(150)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.history.count("orders") == 2
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_x")
        await trio.sleep(5)
        assert [each.method for each in rig.history.requests][-2:] == ["trades", "order"]
        assert len(shown_orders(rig.state("BTCUSDT"))) == 41


async def test_an_order_that_has_filled_more_is_read_again(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(90)
        asked = rig.history.count("order")
        rig.trade("BTCUSDT", "BUY", "2", order_id=order_id)
        await trio.sleep(5)
        assert rig.history.count("order") == asked + 1
        (named,) = shown_orders(rig.state("BTCUSDT"))
        assert named["cumulative"] == "3"
