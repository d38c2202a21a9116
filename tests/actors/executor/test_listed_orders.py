"""Orders that queries do not show, and the list of all orders does."""

from __future__ import annotations

import pytest
import trio

from brain.execution.orders import OrderState
from brain.identifiers import Symbol
from tests.actors.executor.test_resolution import UNKNOWN
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_order_that_only_the_list_of_all_orders_shows_is_found(
    rig: ExecutorRig, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    rig.exchange.answer = rig.exchange.always(UNKNOWN)

    async def listed(symbol: Symbol, since_ms: int) -> tuple[OrderState, ...]:
        return (rig.exchange.state(rig.exchange.requests[0]),)

    monkeypatch.setattr(rig.exchange, "orders_since", listed)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(60)
    assert rig.result("p1")["executed"] == "true"


async def test_an_order_that_the_first_list_behind_the_settle_time_does_not_show_yet_is_found(
    rig: ExecutorRig, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists lag: what was taken at the end of the exchange's own wait may be missing in the first."""
    nursery.start_soon(rig.prove_stream)
    await trio.sleep(5)
    rig.exchange.answer = rig.exchange.always(UNKNOWN)
    asked: list[Symbol] = []

    async def listed(symbol: Symbol, since_ms: int) -> tuple[OrderState, ...]:
        asked.append(symbol)
        return (rig.exchange.state(rig.exchange.requests[0]),) if len(asked) > 1 else ()

    monkeypatch.setattr(rig.exchange, "orders_since", listed)
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(60)
    assert rig.result("p1")["executed"] == "true"
