"""An order whose outcome is unknown covers its quantity until evidence, a later result, or the grace."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import cycle
from typing import Any

import pytest
import trio

from brain.execution.orders import client_order_id
from brain.identifiers import PlanId, Symbol
from brain.plans.permit import Reason
from brain.positions.position import Leg
from channels import OrderEndObserved
from tests.actors.ledger_rig import NO_LATE_RESULTS_SEC, LedgerRig, at_rest, running_writer
from tests.actors.unknown_world import ORDERED, POSITION, UnknownWorld, drawn_fate
from tests.brain.unknown_wordings import UNKNOWN
from tests.virtual_time import virtual_time

pytestmark = virtual_time

#: In each world so many orders; P33_TESTS_UNKNOWN_WORLDS=58 gives each wording 200.
ORDERS = 200
WORLDS = int(os.environ.get("P33_TESTS_UNKNOWN_WORLDS", "6"))


@pytest.mark.simulation
@pytest.mark.parametrize("seed", range(WORLDS))
async def test_an_unknown_order_never_leads_to_permits_for_more_than_the_position(seed: int) -> None:
    world = UnknownWorld(ORDERS, seed)
    wordings = dict(zip(world.symbols, cycle([*UNKNOWN[seed:], *UNKNOWN[:seed]]), strict=False))
    left: dict[str, Decimal | str] = {}
    fates = {symbol: drawn_fate(world.random) for symbol in world.symbols}

    async def live(symbol: str) -> None:
        await trio.sleep(world.random.uniform(0, 5))
        left[symbol] = await world.live_through(symbol, wordings[symbol], fates[symbol])

    async with world.running():
        async with trio.open_nursery() as nursery:
            for symbol in world.symbols:
                nursery.start_soon(live, symbol)
        await trio.sleep(2)  # the last results are booked
        for symbol, fate in fates.items():
            ledger = Decimal(world.ledgers.amount(symbol) or "nan")
            if not fate.filled:
                assert (left[symbol], ledger) == (POSITION, POSITION), fate
            elif fate.known_at is not None:
                assert (left[symbol], ledger) == (POSITION - ORDERED, POSITION - ORDERED), fate
            else:
                assert (left[symbol], ledger) == (Reason.RECONCILE_REQUIRED_QTY_MISMATCH, POSITION), fate
        assert world.ledgers.unknown_executions.value == ()
        assert world.ledgers.pending() == 0
        assert world.ledgers.dead() == []


SYMBOL, PLAN = "BTCUSDT", "plan"
OURS = client_order_id("quantum", PlanId(PLAN))


async def unknown_close(rig: LedgerRig, *, age_sec: float = 1.0, **named: str) -> None:
    """Store an open permit to close 3, decided `age_sec` ago, and publish that its outcome is unknown."""
    rig.decided(SYMBOL, "BOTH|close|SELL", "3", life_sec=rig.reservation_life_sec - age_sec)
    refusal: dict[str | bytes, str | bytes] = {"plan_id": PLAN, "symbol": SYMBOL, "executed": "False"}
    refusal.update({"error": "timeout", **named})
    rig.redis.xadd(rig.keys.results, refusal)
    await trio.sleep(0.5)


def covered(rig: LedgerRig) -> str | None:
    """Return the quantity that the open permit still covers."""
    permit = rig.open_permit(SYMBOL)
    return None if permit is None else permit.split("|")[3]


def four() -> LedgerRig:
    rig = LedgerRig()
    rig.exchange.set(SYMBOL, "4", update_time_ms=rig.exchange.now_ms() - 1000)
    return rig


@pytest.fixture
async def rig() -> AsyncIterator[LedgerRig]:
    """Yields one that has adopted a position of 4 so long ago that no result reports an earlier fill."""
    rig = four()
    async with running_writer(rig):
        await at_rest(rig, NO_LATE_RESULTS_SEC)
        yield rig


def ended(rig: LedgerRig, status: str, filled: str, **changes: Any) -> None:
    """Push the end of the order without another fill."""
    now = rig.clock.now()
    event: dict[str, Any] = {"leg": Leg.BOTH, "order_id": "9", "client_order_id": OURS, "order_side": "SELL"}
    event |= changes
    rig.fills.send(
        OrderEndObserved(
            symbol=Symbol(SYMBOL),
            cumulative=Decimal(filled),
            status=status,
            transaction_ms=now.wall_ms,
            received=now,
            **event,
        )
    )  # fmt: skip


async def test_a_partial_fill_is_booked_at_once_and_the_rest_stays_covered_until_the_order_ends(
    rig: LedgerRig,
) -> None:
    await unknown_close(rig)
    rig.fill(SYMBOL, "9", "SELL", "1", client_order_id=OURS, status="PARTIALLY_FILLED")
    await trio.sleep(0.1)
    assert (rig.amount(SYMBOL), covered(rig)) == ("3", "2")
    assert len(rig.unknown_executions.value or ()) == 1
    ended(rig, "EXPIRED", "1")
    await trio.sleep(0.1)
    assert (rig.amount(SYMBOL), covered(rig)) == ("3", None)
    assert rig.unknown_executions.value == ()
    rig.publish_result(SYMBOL, "9", "SELL", "1", status="EXPIRED")
    await trio.sleep(60)
    assert rig.amount(SYMBOL) == "3"
    assert [event["event"] for event in rig.events()] == ["LEDGER_ADOPTED"]


@pytest.mark.parametrize(
    "changes",
    [
        {"client_order_id": "x"},
        {"client_order_id": client_order_id("quantum", PlanId("another plan"))},
        {"client_order_id": client_order_id("another prefix", PlanId(PLAN))},
        {"order_side": "BUY"},
        {"leg": Leg.LONG},
    ],
)
async def test_an_event_of_another_order_ends_nothing(rig: LedgerRig, changes: dict[str, Any]) -> None:
    await unknown_close(rig)
    ended(rig, "CANCELED", "0", **changes)
    await trio.sleep(2)
    assert covered(rig) == "3"
    ended(rig, "CANCELED", "0", order_id="10")
    await trio.sleep(0.1)
    assert covered(rig) is None


@pytest.mark.parametrize("before_sec", [10, 3])
async def test_an_earlier_order_with_the_same_client_order_id_is_no_evidence(
    rig: LedgerRig, before_sec: float
) -> None:
    ended(rig, "CANCELED", "0", client_order_id="reused")
    await trio.sleep(before_sec)
    await unknown_close(rig, client_order_id="reused")
    await trio.sleep(2)
    assert covered(rig) == "3"
    ended(rig, "CANCELED", "0", client_order_id="reused", order_id="10")
    await trio.sleep(0.1)
    assert covered(rig) is None


async def test_a_fill_that_the_adopted_ledger_contains_ends_the_permit_and_moves_nothing() -> None:
    rig = four()
    rig.exchange.fill(SYMBOL, "9", "SELL", "3")
    async with running_writer(rig):
        rig.push_fill(SYMBOL, "9", "SELL", client_order_id=OURS)
        await trio.sleep(1)
        rig.observe(SYMBOL)
        await trio.sleep(1)
        assert rig.amount(SYMBOL) == "1"
        await unknown_close(rig, age_sec=5)
        await trio.sleep(0.1)
        assert (rig.amount(SYMBOL), covered(rig)) == ("1", None)
        rig.publish_result(SYMBOL, "9", "SELL", "3")
        await trio.sleep(5)
        assert rig.amount(SYMBOL) == "1"


async def test_an_unknown_outcome_is_followed_over_a_restart() -> None:
    rig = four()
    async with running_writer(rig):
        await at_rest(rig, NO_LATE_RESULTS_SEC)
        await unknown_close(rig, order_id="9")
    rig.unknown_executions.withdraw()
    async with running_writer(rig):
        await trio.sleep(1)
        assert [each.plan_id for each in rig.unknown_executions.value or ()] == [PLAN]
        rig.fill(SYMBOL, "9", "SELL", "3")
        await trio.sleep(0.1)
        assert (rig.amount(SYMBOL), covered(rig)) == ("1", None)
