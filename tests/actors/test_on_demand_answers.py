"""A read that a decision waits for is answered: with the book filled, or with why it is not."""

from __future__ import annotations

from decimal import Decimal

import pytest
import trio

from brain.identifiers import PlanId, Symbol
from brain.positions.position import VerifiedBy
from channels import OnDemandRead
from exchange.errors import ExchangeUnavailable
from tests.actors.fetcher_rig import FetcherRig, running_fetcher
from tests.integration.waiting import until
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.fixture
def rig() -> FetcherRig:
    return FetcherRig()


async def test_an_on_demand_read_answers_its_caller_with_the_book_filled(rig: FetcherRig) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.set("BTCUSDT", "0.3")
        reply, answer = trio.open_memory_channel[str | None](1)
        await rig.on_demand[0].send(
            OnDemandRead(Symbol("BTCUSDT"), PlanId("plan"), trio.current_time() + 1, reply)
        )
        assert await answer.receive() is None
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.3")
        assert rig.snapshot("BTCUSDT").verified_by is VerifiedBy.ONDEMAND
        assert rig.exchange.reads[-1] == "BTCUSDT"


@pytest.mark.parametrize(
    ("latency_sec", "failure", "why"),
    [(5.0, None, "no answer in time"), (0.1, ExchangeUnavailable("HTTP 502"), "HTTP 502")],
)
async def test_an_on_demand_read_that_fails_says_why(
    rig: FetcherRig, latency_sec: float, failure: ExchangeUnavailable | None, why: str
) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.latency_sec, rig.exchange.failure = latency_sec, failure
        reply, answer = trio.open_memory_channel[str | None](1)
        await rig.on_demand[0].send(
            OnDemandRead(Symbol("BTCUSDT"), PlanId("plan"), trio.current_time() + 1, reply)
        )
        assert await answer.receive() == why


@pytest.mark.parametrize(("changes", "why"), [(1, None), (2, "it changed each time while it was read")])
async def test_a_position_that_changes_during_an_on_demand_read_is_read_once_more(
    rig: FetcherRig, changes: int, why: str | None
) -> None:
    rig.exchange.set("BTCUSDT", "0.5", update_time_ms=5)
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.exchange.reads.clear()
        reply, answer = trio.open_memory_channel[str | None](1)
        await rig.on_demand[0].send(
            OnDemandRead(Symbol("BTCUSDT"), PlanId("plan"), trio.current_time() + 1, reply)
        )
        for number in range(1, changes + 1):
            await until(lambda number=number: rig.exchange.reads.count("BTCUSDT") == number, "a read")  # type: ignore[misc]
            await trio.sleep(0.05)
            rig.exchange.set("BTCUSDT", f"0.{number}")
        assert await answer.receive() == why
        assert rig.exchange.reads.count("BTCUSDT") == 2
        assert rig.snapshot("BTCUSDT").amount == Decimal("0.1" if why is None else "0.5")
