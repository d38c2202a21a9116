"""Positions that are not believed, ledgers without amounts, and symbols that are gone."""

from __future__ import annotations

from decimal import Decimal

import trio

from brain.identifiers import EntryId, Symbol
from brain.positions.position import Leg
from brain.symbols.symbol_rules import SymbolRules
from tests.actors.reconcile_rig import STEP, SYMBOLS, ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_position_that_is_not_known_to_be_current_is_a_state_and_an_event_and_no_hold(
    rig: ReconcileRig,
) -> None:
    rig.agree("BTCUSDT", "1")
    async with running_engine(rig):
        rig.unproven.update(rig.symbols)
        await trio.sleep(60)
        assert rig.status("BTCUSDT") == "DRIFT"
        assert rig.state("BTCUSDT")["reason"] == "stale_exchange"
        assert [(each["event"], each["symbol"]) for each in rig.events()] == [("DRIFT", "BTCUSDT")]
        assert rig.held_by("BTCUSDT") == ""
        assert rig.history.requests == []
        rig.unproven.clear()
        await trio.sleep(6)
        assert rig.status("BTCUSDT") == "OK"


async def test_nothing_is_mended_and_the_hold_stays_while_the_book_is_not_trusted(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    rig.history.lag_sec = 10
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(4)
        assert rig.held_by("BTCUSDT").startswith("p34:")
        rig.unproven.update(rig.symbols)
        rig.book.lose_trust(rig.clock.now())
        looks = rig.history.count("trades")
        await trio.sleep(400)
        assert rig.amount("BTCUSDT") == "0"
        assert rig.held_by("BTCUSDT").startswith("p34:")
        assert rig.history.count("trades") <= looks + 1
        rig.unproven.clear()
        await trio.sleep(70)
        assert rig.amount("BTCUSDT") == "1"


async def test_a_hold_that_is_found_stays_until_the_book_is_trusted(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
    rig.agree("BTCUSDT", "1")
    rig.unproven.update(rig.symbols)
    await trio.sleep(30)
    async with running_engine(rig):
        await trio.sleep(60)
        assert rig.held_by("BTCUSDT").startswith("p34:")
        rig.unproven.clear()
        await trio.sleep(6)
        assert rig.held_by("BTCUSDT") == ""


async def test_a_missing_ledger_is_a_state_and_an_event(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "1")
    rig.redis.delete(rig.keys.ledger("BTCUSDT"))
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.state("BTCUSDT")["reason"] == "missing_ledger"
        assert rig.told("BTCUSDT") == ["DRIFT"]
        assert rig.amount("BTCUSDT") == ""
        rig.ledger("BTCUSDT", "1")
        await trio.sleep(6)
        assert rig.status("BTCUSDT") == "OK"


async def test_a_ledger_that_cannot_be_read_is_left_alone(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "1")
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "much"})
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.amount("BTCUSDT") == "much"
        assert "not a decimal number" in rig.state("BTCUSDT")["why"]


async def test_a_ledger_without_a_position_that_was_never_read_is_a_state(rig: ReconcileRig) -> None:
    rules = dict(rig.symbol_rules.value or {})
    rig.symbol_rules.send({**rules, "NEWUSDT": SymbolRules("NEWUSDT", True, STEP, STEP, STEP * 1000)})
    rig.ledger("NEWUSDT", "3")
    async with running_engine(rig):
        await trio.sleep(15)
        assert rig.state("NEWUSDT")["reason"] == "missing_exchange"
        assert rig.told("NEWUSDT") == ["DRIFT"]


async def test_the_settlement_of_a_delisted_symbol_is_booked(rig: ReconcileRig) -> None:
    rig.agree("XRPUSDT", "5")
    async with running_engine(rig):
        rig.trade("XRPUSDT", "SELL", "5", client_order_id="settlement_autoclose-1")
        await trio.sleep(5)
        assert rig.amount("XRPUSDT") == "0"
        assert rig.held_by("XRPUSDT") == ""


async def test_the_case_of_a_symbol_that_is_delisted_gives_its_hold_back(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.move("XRPUSDT", "5")
        await trio.sleep(30)
        assert rig.status("XRPUSDT") == "MANUAL_REQUIRED"
        rules = dict(rig.symbol_rules.value or {})
        del rules["XRPUSDT"]
        rig.symbol_rules.send(rules)
        rig.unproven.add("XRPUSDT")
        await trio.sleep(30)
        assert rig.held_by("XRPUSDT") == ""
        assert rig.told("XRPUSDT") == ["HOLD_SET", "MANUAL_REQUIRED", "HOLD_CLEARED", "DRIFT"]
        assert rig.state("XRPUSDT")["reason"] == "stale_exchange"
        # The others go on.
        rig.own_order("p33-a")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"


async def test_flat_symbols_need_nothing_but_their_agreement_noted(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        await trio.sleep(60)
        names = {name for name in list(rig.redis.keys()) if name.startswith(f"{rig.own.base}:")}
        assert names == {rig.own.state(symbol) for symbol in SYMBOLS}
        assert rig.state("BTCUSDT").keys() == {"agreed_ms", "agreed_version", "agreed_amts", "agreed_began"}
        assert rig.history.requests == []
        rig.unproven.update(SYMBOLS)
        await trio.sleep(60)
        assert rig.events() == []


async def test_a_ledger_whose_legs_are_not_known_is_named_while_its_result_waits_for_them(
    rig: ReconcileRig,
) -> None:
    rig.hedge_mode.send(True)
    for symbol in rig.symbols:
        rig.amounts[symbol] = {Leg.LONG: Decimal(0), Leg.SHORT: Decimal(0)}
        rig.ledger(symbol, "0", long_amt="0", short_amt="0")
    rig.amounts["BTCUSDT"] = {Leg.LONG: Decimal(3), Leg.SHORT: Decimal(-2)}
    rig.redis.delete(rig.keys.ledger("BTCUSDT"))
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "2"})
    rig.prove()
    async with running_engine(rig):
        # As the ledger writer delivers it again and again.
        for _ in range(20):
            rig.results.arrive(Symbol("BTCUSDT"), EntryId("1-0"), rig.clock.now())
            rig.results.finish(Symbol("BTCUSDT"), EntryId("1-0"))
            await trio.sleep(1)
        assert rig.state("BTCUSDT")["reason"] == "missing_ledger"
        assert "legs are not known" in rig.state("BTCUSDT")["why"]
        assert "long_amt 3 short_amt -2" in rig.state("BTCUSDT")["advice"]
