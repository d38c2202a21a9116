"""Orders that the exchange has taken, and has no more."""

from __future__ import annotations

import pytest
import trio

from brain.execution.orders import Accepted, OrderOutcome, OrderRequest
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.mark.parametrize("explained", [True, False])
async def test_a_working_order_that_the_exchange_has_no_more_ends_with_what_was_filled(
    rig: ExecutorRig, nursery: trio.Nursery, explained: bool
) -> None:
    """A testnet account is reset from time to time."""

    def working(request: OrderRequest) -> OrderOutcome:
        order = rig.exchange.visible[request.client_order_id] = rig.exchange.state(
            request, "PARTIALLY_FILLED", "0.2"
        )
        return Accepted(order)

    async def read_positions() -> None:
        while True:
            await trio.sleep(4)
            rig.position("BTCUSDT", "0.2")

    rig.ledger("BTCUSDT", "0.2" if explained else "0")
    nursery.start_soon(rig.prove_stream)
    nursery.start_soon(read_positions)
    await trio.sleep(5)
    rig.exchange.answer = working
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(100)
        rig.exchange.visible.clear()
        await trio.sleep(55)
        assert rig.record("p1")["state"] == "working"
        await trio.sleep(30)
        ends = [(each["executed"], each["filled_qty"], each["error"]) for each in rig.published_results("p1")]
        gone = [("true", "0.2", "order_not_found")] if explained else []
        assert ends == [("true", "0.2", ""), *gone]
        assert rig.pending() == (0 if explained else 1)
        assert [each["event"] for each in rig.events()] == (["ORDER_VANISHED"] if explained else [])
