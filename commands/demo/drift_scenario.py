"""The drift scenario: a manual trade at the exchange, removed by the reconcile engine.

Exchange and ledger disagree after the trade, so every plan is denied. The engine holds the symbol, and its
reconcile close, allowed because of the hold, removes the difference.
"""

from __future__ import annotations

import time
from decimal import Decimal

import trio

from commands.demo.other_services import NotInTimeError
from commands.demo.outcome import Outcome, allowed, denied
from commands.demo.plans import Fields, harvest_exit, reconcile_close
from commands.demo.scenarios import PlanToPublish, Scenario
from commands.demo.trader import Desk, Trader

_DRIFT_STEPS = 20
_REST_SEC = 3.0


async def run_drifts(desk: Desk, trader: Trader, stopping: trio.Event) -> None:
    """Let the trader's symbol drift and be reconciled repeatedly until `stopping` is set.

    No other task trades the symbol. The trader's first position stays in the ledger throughout.
    """
    while not stopping.is_set():
        own = trader.amount
        try:
            await _one_drift(desk, trader)
        except NotInTimeError as error:
            desk.tally.not_in_time(f"not in time: {error}")
        if trader.amount != own:
            await _take_back(desk, trader, own)
        with trio.move_on_after(_REST_SEC):
            await stopping.wait()


async def _take_back(desk: Desk, trader: Trader, own: Decimal) -> None:
    """Remove at the exchange a drift that the engine did not: the next one begins where this one did."""
    await desk.exchange.move_position(trader.symbol.name, own - trader.amount)
    trader.amount = own
    await desk.services.release_hold(trader.symbol.name)


async def _one_drift(desk: Desk, trader: Trader) -> None:
    symbol, own = trader.symbol, trader.amount
    drift = symbol.step * _DRIFT_STEPS
    if own < 0:
        drift = -drift
    await desk.exchange.move_position(symbol.name, drift)
    trader.amount = own + drift
    await desk.services.wait_for_amounts(symbol.name, ledger=own, snapshot=trader.amount)

    disagreement = "side" if own == 0 else "qty"
    exit_fields = harvest_exit(symbol, "FULL_CLOSE_PROPOSED", desk.rng, time.time())
    await trader.run_scenario(_scenario(exit_fields, denied(f"reconcile_required_{disagreement}_mismatch")))

    await desk.services.hold(symbol.name)
    exit_fields = harvest_exit(symbol, "PARTIAL_50", desk.rng, time.time())
    await trader.run_scenario(_scenario(exit_fields, denied("reconcile_hold_active")))

    side = "SELL" if drift > 0 else "BUY"
    too_much = reconcile_close(symbol, side, abs(trader.amount) + symbol.step, desk.rng, time.time())
    await trader.run_scenario(_scenario(too_much, denied("guardrail_violation")))

    closing = reconcile_close(symbol, side, abs(drift), desk.rng, time.time())
    await trader.run_scenario(_scenario(closing, allowed("reconcile_close_bypass", abs(drift))))
    await desk.services.release_hold(symbol.name)


def _scenario(fields: Fields, expected: Outcome) -> Scenario:
    return Scenario("drift", (PlanToPublish(fields, expected),))
