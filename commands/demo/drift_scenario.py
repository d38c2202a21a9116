"""The drift scenario: a manual trade at the exchange, removed by a reconcile close.

Exchange and ledger disagree after the trade, so every plan is denied. The reconcile engine, the daemon's own
or a played one, holds the symbol, and a reconcile close, allowed because of the hold, removes the difference.
The daemon's own then releases the symbol, and books a partial liquidation by itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable

import trio

from commands.demo.other_services import NotInTimeError
from commands.demo.outcome import Outcome, allowed, denied
from commands.demo.plans import Fields, harvest_exit, reconcile_close
from commands.demo.scenarios import PlanToPublish, Scenario
from commands.demo.trader import Desk, Trader

_DRIFT_STEPS = 20
_REST_SEC = 3.0
_REPAIRED_WITHIN_SEC = 10.0
#: A liquidation takes so much, and leaves a position.
_LIQUIDATED_STEPS = 2


async def run_drifts(desk: Desk, trader: Trader, stopping: trio.Event) -> None:
    """Let the trader's symbol drift and be reconciled repeatedly until `stopping` is set.

    No other task trades the symbol. The trader's first position stays in the ledger throughout.
    """
    while not stopping.is_set():
        await _in_time(desk, _drift_and_back(desk, trader))
        if desk.own_reconcile:
            await _in_time(desk, _one_liquidation(desk, trader))
        with trio.move_on_after(_REST_SEC):
            await stopping.wait()


async def _in_time(desk: Desk, part: Awaitable[None]) -> None:
    """Wait for a part of the scenario; count what the daemon did not do in time."""
    try:
        await part
    except NotInTimeError as error:
        desk.tally.not_in_time(f"not in time: {error}")


async def _drift_and_back(desk: Desk, trader: Trader) -> None:
    """Run one drift; one that was not removed is taken back: the next begins where this one did."""
    own = trader.amount
    await _in_time(desk, _one_drift(desk, trader))
    if trader.amount != own:
        await desk.exchange.move_position(trader.symbol.name, own - trader.amount)
        trader.amount = own
        await _release(desk, trader)


async def _one_liquidation(desk: Desk, trader: Trader) -> None:
    """Take a part of the position as the exchange does; the daemon's engine books what its trades prove."""
    part = trader.symbol.step * _LIQUIDATED_STEPS
    if abs(trader.amount) <= part:
        return
    change = -part if trader.amount > 0 else part
    await desk.exchange.move_position(trader.symbol.name, change, cause="liquidation")
    trader.amount += change
    await desk.services.wait_for_amounts(
        trader.symbol.name, ledger=trader.amount, snapshot=trader.amount, within_sec=_REPAIRED_WITHIN_SEC
    )
    await _release(desk, trader)


async def _release(desk: Desk, trader: Trader) -> None:
    """Release the symbol as the engine that is played does; the daemon's own does so by itself."""
    if desk.own_reconcile:
        await desk.services.wait_for_release(trader.symbol.name)
    else:
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
    await trader.run_scenario(
        _scenario(
            exit_fields,
            denied(f"reconcile_required_{disagreement}_mismatch"),
            also=(denied("reconcile_hold_active"),) if desk.own_reconcile else (),
        )
    )

    if desk.own_reconcile:
        await desk.services.wait_for_person(symbol.name)
    else:
        await desk.services.hold(symbol.name)
    exit_fields = harvest_exit(symbol, "PARTIAL_50", desk.rng, time.time())
    await trader.run_scenario(_scenario(exit_fields, denied("reconcile_hold_active")))

    side = "SELL" if drift > 0 else "BUY"
    too_much = reconcile_close(symbol, side, abs(trader.amount) + symbol.step, desk.rng, time.time())
    await trader.run_scenario(_scenario(too_much, denied("guardrail_violation")))

    closing = reconcile_close(symbol, side, abs(drift), desk.rng, time.time())
    await trader.run_scenario(_scenario(closing, allowed("reconcile_close_bypass", abs(drift))))
    await _release(desk, trader)


def _scenario(fields: Fields, expected: Outcome, *, also: tuple[Outcome, ...] = ()) -> Scenario:
    return Scenario("drift", (PlanToPublish(fields, expected, also=also),))
