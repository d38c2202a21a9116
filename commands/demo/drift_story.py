"""A position that moves past everybody, and how the reconcile engine gets it back.

A person trades at the exchange's own screen: exchange and ledger disagree, every plan is denied, the engine
holds the symbol, and its reconcile close, allowed because of the hold, removes what the ledger never had.
"""

from __future__ import annotations

import time

import trio

from commands.demo.other_services import NotSettledError
from commands.demo.outcome import Outcome, allowed, denied
from commands.demo.plans import Fields, harvest_exit, reconcile_close
from commands.demo.scenarios import PlanToPublish, Scenario
from commands.demo.trader import Desk, Trader

_DRIFT_STEPS = 20
_REST_SEC = 3.0


async def live_through_drifts(desk: Desk, trader: Trader, stopping: trio.Event) -> None:
    """Let the trader's symbol drift and be reconciled, again and again, until told to stop.

    Nobody else trades the symbol. What the trader holds at the start stays in the ledger throughout.
    """
    while not stopping.is_set():
        try:
            await _one_drift(desk, trader)
        except NotSettledError as error:
            desk.tally.surprise(f"not within 3 s: {error}")
        with trio.move_on_after(_REST_SEC):
            await stopping.wait()


async def _one_drift(desk: Desk, trader: Trader) -> None:
    symbol, own = trader.symbol, trader.amount
    drift = symbol.step * _DRIFT_STEPS
    if own < 0:
        drift = -drift
    await desk.exchange.move_position(symbol.name, drift)
    trader.amount = own + drift
    await desk.neighbours.is_believed(symbol.name, ledger=own, snapshot=trader.amount)

    disagreement = "side" if own == 0 else "qty"
    exit_fields = harvest_exit(symbol, "FULL_CLOSE_PROPOSED", desk.rng, time.time())
    await trader.play(_scenario(exit_fields, denied(f"reconcile_required_{disagreement}_mismatch")))

    await desk.neighbours.hold(symbol.name)
    exit_fields = harvest_exit(symbol, "PARTIAL_50", desk.rng, time.time())
    await trader.play(_scenario(exit_fields, denied("reconcile_hold_active")))

    side = "SELL" if drift > 0 else "BUY"
    too_much = reconcile_close(symbol, side, abs(trader.amount) + symbol.step, desk.rng, time.time())
    await trader.play(_scenario(too_much, denied("guardrail_violation")))

    closing = reconcile_close(symbol, side, abs(drift), desk.rng, time.time())
    await trader.play(_scenario(closing, allowed("reconcile_close_bypass", abs(drift))))
    await desk.neighbours.release_hold(symbol.name)


def _scenario(fields: Fields, expected: Outcome) -> Scenario:
    return Scenario("drift", (PlanToPublish(fields, expected),))
