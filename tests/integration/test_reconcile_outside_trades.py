"""Trades that are not ours: the exchange's own are booked, those of people and robots wait for a person."""

from __future__ import annotations

import pytest

from brain.numbers import plain
from simulator.external_events import Sender, settle
from tests.integration.pipeline import EVENTS, entry, full_close
from tests.integration.reconciled import (
    HELD_WITHIN_SEC,
    PATIENCE_SEC,
    REPAIRED_WITHIN_SEC,
    Reconciled,
    named,
    orders_of,
    sec_between,
)

SENDERS: dict[str, Sender] = {
    "SOLUSDT": "web", "XRPUSDT": "ios", "DOGEUSDT": "android", "ADAUSDT": "robot",
}  # fmt: skip


@pytest.mark.parametrize("hidden", [False, True], ids=["listed", "in forceOrders alone"])
async def test_liquidations_and_adl_are_booked(reconciled: Reconciled, hidden: bool) -> None:
    site = reconciled
    site.exchange.faults.forced_orders_hidden = hidden
    site.moved("SOLUSDT", "10")
    site.moved("XRPUSDT", "-1000")
    async with site.daemon({"P34_WEIGHT_PER_MIN": "120"}):
        moves = {
            "liquidation": site.moved("SOLUSDT", "-4", cause="liquidation", parts=3),
            "adl": site.moved("XRPUSDT", "1000", cause="adl"),
        }
        for cause, order in moves.items():
            repair = await site.repaired(order.symbol.name)
            assert sec_between(order, repair) < REPAIRED_WITHIN_SEC
            assert named(repair) == [(order.client_order_id, cause, plain(order.executed))]
            assert len(orders_of(repair)[0]["trade_ids"]) == len(order.fills)
        assert (site.ledger_amount("SOLUSDT"), site.ledger_amount("XRPUSDT")) == ("6", "0")


async def test_the_settlement_of_a_delisted_symbol_is_booked(reconciled: Reconciled) -> None:
    site = reconciled
    site.moved("SOLUSDT", "10")
    async with site.daemon() as daemon:
        (order,) = settle(site.exchange, "SOLUSDT")
        repair = await site.repaired("SOLUSDT")
        assert sec_between(order, repair) < REPAIRED_WITHIN_SEC
        assert named(repair) == [(order.client_order_id, "settlement", "10")]
        assert site.ledger_amount("SOLUSDT") == "0"
        site.exchange.listing.remove("SOLUSDT")
        # Others are reconciled as before.
        await site.repaired(site.lost("XRPUSDT", "10").symbol.name)
        assert site.told("SOLUSDT") == ["HOLD_SET", "AUTO_REPAIR"]
        assert daemon.alive


async def test_a_trade_of_a_person_or_robot_is_held_and_named_until_a_person_has_set_it_right(
    reconciled: Reconciled,
) -> None:
    site = reconciled
    for symbol in SENDERS:
        site.moved(symbol, "100")
    async with site.daemon():
        orders = {symbol: site.moved(symbol, "-50", sender=sender) for symbol, sender in SENDERS.items()}
        for symbol, order in orders.items():
            state = await site.needs_person(symbol)
            assert named(state) == [(order.client_order_id, "manual", "50")]
            assert state["cause"] == "manual"
            held = site.event(symbol, "HOLD_SET")
            assert held is not None and sec_between(order, held) < HELD_WITHIN_SEC
            assert site.told(symbol) == ["HOLD_SET", "MANUAL_REQUIRED"]
            assert site.ledger_amount(symbol) == "100"
            diverged = await site.diverged(symbol)
            assert diverged["order_id"] == str(order.order_id)
        answer = await site.ask("held", entry("SOLUSDT", "1"), PATIENCE_SEC)
        assert answer["reason"] == "reconcile_hold_active"

        # Two ways: the ledger is set to the exchange's position, or the trade is undone there.
        accepted, undone = ("SOLUSDT", "XRPUSDT"), ("DOGEUSDT", "ADAUSDT")
        for symbol in accepted:
            site.accept(symbol)
        for symbol in undone:
            site.moved(symbol, "50")
        for symbol in SENDERS:
            await site.released(symbol)
            assert site.told(symbol) == ["HOLD_SET", "MANUAL_REQUIRED", "HOLD_CLEARED"]
            site.assert_agrees(symbol)
        answer = await site.ask("free", full_close("SOLUSDT"), PATIENCE_SEC)
        assert answer["allow"], answer


async def test_two_causes_at_once_are_one_case_of_which_ours_is_booked(reconciled: Reconciled) -> None:
    site = reconciled
    async with site.daemon():
        ours, theirs = site.lost("SOLUSDT", "3"), site.moved("SOLUSDT", "5")
        state = await site.needs_person("SOLUSDT")
        repair = site.event("SOLUSDT", "AUTO_REPAIR")
        assert repair is not None and sec_between(theirs, repair) < REPAIRED_WITHIN_SEC
        assert named(repair) == [(ours.client_order_id, "own_orphan", "3")]
        assert named(state) == [(theirs.client_order_id, "manual", "5")]
        assert site.ledger_amount("SOLUSDT") == "3"
        # The hold stood all the time.
        assert site.told("SOLUSDT") == ["HOLD_SET", "AUTO_REPAIR", "ORPHAN_ORDER", "MANUAL_REQUIRED"]
        site.accept("SOLUSDT")
        await site.released("SOLUSDT")
        assert site.ledger_amount("SOLUSDT") == "8"


async def test_listed_causes_are_booked(reconciled: Reconciled) -> None:
    site = reconciled
    async with site.daemon({"P34_ADOPT_CAUSES": "manual,stop"}):
        order, stop = site.moved("SOLUSDT", "5"), site.moved("XRPUSDT", "10", cause="stop")
        liquidation = site.moved("DOGEUSDT", "10", cause="adl")
        assert named(await site.repaired("SOLUSDT")) == [(order.client_order_id, "manual", "5")]
        assert named(await site.repaired("XRPUSDT")) == [(stop.client_order_id, "stop", "10")]
        state = await site.needs_person("DOGEUSDT")
        assert named(state) == [(liquidation.client_order_id, "adl", "10")]
    assert all(fields["symbol"] for _, fields in site.entries(EVENTS))
