"""Our share of the exchange's limits on orders, as the executor uses it."""

from __future__ import annotations

import pytest
import trio

from brain.identifiers import FencingToken
from store.errors import StoreUnavailableError
from store.execution_records import BeginReply, OrderBegin
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.mark.parametrize("verdict", ["changed", "hold", "lost"])
async def test_an_order_that_is_not_begun_takes_nothing_of_our_share(
    rig: ExecutorRig, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_order, begun = rig.store.begin_order, False

    async def once(fence: FencingToken, begin: OrderBegin) -> BeginReply:
        nonlocal begun
        if begun:
            return await begin_order(fence, begin)
        begun = True
        if verdict == "lost":
            raise StoreUnavailableError("no answer")
        return BeginReply(verdict)

    monkeypatch.setattr(rig.store, "begin_order", once)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(3)
    assert rig.exchange.reserved - rig.exchange.returned == len(rig.exchange.requests)
    assert rig.exchange.returned == 1
