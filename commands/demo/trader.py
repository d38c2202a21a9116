"""Trader of one symbol in the demo: a plan at a time, from its publication to its booking in the ledger."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from random import Random
from typing import NamedTuple

import msgspec
import trio

from commands.demo.exchange_client import ExchangeClient, TradedSymbol
from commands.demo.executors import Executor
from commands.demo.machine_load import LoadMeter, NotInTimeError
from commands.demo.other_services import OtherServices
from commands.demo.outcome import no_plan
from commands.demo.record import Step
from commands.demo.scenario_catalog import choose
from commands.demo.scenarios import Cooling, Governor, PlanToPublish, Scenario, SymbolState
from commands.demo.tally import Decided, Tally
from commands.demo.watcher import Watcher

_COOLDOWN_MARGIN_SEC = 0.25
#: How long a plan may take to its decision, several published at once.
_DECIDED_WITHIN_SEC = 1.0
_PLANNED_WITHIN_SEC = 3.0


class Desk(NamedTuple):
    """The services and counters that all traders share."""

    services: OtherServices
    executor: Executor
    exchange: ExchangeClient
    tally: Tally
    rng: Random
    meter: LoadMeter
    watcher: Watcher
    #: The daemon's Governor judges the plans; else the demo plays one.
    own_governor: bool = False
    #: The daemon's reconcile engine holds and repairs; else the demo plays one.
    own_reconcile: bool = False
    #: The daemon's bridge makes plans of intents; else strategies publish plans.
    own_bridge: bool = False
    #: The daemon's executor sends the orders; else the demo plays executors.
    own_executor: bool = False


@dataclass
class Trader:
    """All services of one symbol, with the position that it must have.

    `amount` is exchange and ledger at the start (signed contracts), `cooldown_sec` the daemon's cooldown.
    """

    desk: Desk
    symbol: TradedSymbol
    _: KW_ONLY
    amount: Decimal = Decimal(0)
    in_universe: bool = True
    listed: bool = True
    cooldown_sec: float
    #: The last execution was between these two.
    ordered_sec: float = float("-inf")
    booked_sec: float = float("-inf")
    #: Orders that were executed and are not in the ledger yet.
    unbooked: int = 0

    async def run(self, tickets: trio.MemoryReceiveChannel[None]) -> None:
        """Run a scenario for every ticket, until there are no more."""
        async for _ in tickets:
            desk = self.desk
            if self._state().cooling is Cooling.UNSURE:
                # Few plans have but one outcome then.
                await trio.sleep_until(self._cooled_sec)
            scenario = choose(
                self._state(),
                desk.rng,
                time.time(),
                own_governor=desk.own_governor,
                own_bridge=desk.own_bridge,
            )
            await self.run_scenario(scenario)

    async def run_scenario(self, scenario: Scenario, *, booked: bool = True) -> None:
        """Publish the scenario's plans, or their intents, and follow each to its end.

        `booked`: wait until the ledger has what was executed.
        """
        services = self.desk.services
        if scenario.hold:
            await services.hold(self.symbol.name)
        before = self.amount
        published_sec = trio.current_time()
        intents = await services.publish(scenario.plans, self.desk.rng)
        async with trio.open_nursery() as nursery:
            for plan, intent in zip(scenario.plans, intents, strict=True):
                nursery.start_soon(self._settle, plan, intent, scenario.name, published_sec)
        if scenario.hold:
            await services.release_hold(self.symbol.name)
        if self.amount != before and booked:
            await self._wait_until_booked()

    def count_booked(self) -> None:
        """Count the orders that the ledger has now."""
        self.desk.tally.booked += self.unbooked
        self.unbooked = 0

    @property
    def _cooled_sec(self) -> float:
        """Moment after which no cooldown is left (trio's clock)."""
        return self.booked_sec + self.cooldown_sec + _COOLDOWN_MARGIN_SEC

    def _state(self) -> SymbolState:
        now_sec = trio.current_time()
        if now_sec >= self._cooled_sec:
            cooling = Cooling.NO
        elif now_sec + self.desk.meter.stretched(_DECIDED_WITHIN_SEC) < self.ordered_sec + self.cooldown_sec:
            cooling = Cooling.YES
        else:
            cooling = Cooling.UNSURE
        return SymbolState(self.symbol, self.amount, cooling, self.in_universe, self.listed)

    async def _settle(self, plan: PlanToPublish, intent: str, scenario: str, published_sec: float) -> None:
        """Follow a plan to its end; `intent`: name of its intent, empty where it has none."""
        if intent:
            made = await self._plan_of(plan, intent, scenario, published_sec)
            if made is None:
                return
            plan = made
        else:
            self.desk.watcher.record.direct.add(plan.fields["plan_id"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._govern, plan)
            nursery.start_soon(self._follow_plan, plan, scenario, published_sec)

    async def _plan_of(
        self, plan: PlanToPublish, intent: str, scenario: str, published_sec: float
    ) -> PlanToPublish | None:
        """Wait for the plan that the bridge makes of an intent; None where it makes none."""
        tally, name = self.desk.tally, self.symbol.name
        record = self.desk.watcher.record
        seen = record.intent(intent)
        what, watcher = f"{name}: {scenario}: not in time: an answer to intent {intent}", self.desk.watcher
        answered = await watcher.late_or_never(
            intent, lambda: seen.outcomes or None, what, _PLANNED_WITHIN_SEC, tally.not_in_time
        )
        if answered is None:
            return None
        if seen.plan_id:
            made = record.plan(seen.plan_id)
            fields = await watcher.late_or_never(
                seen.plan_id, lambda: made.plan or None, what, _PLANNED_WITHIN_SEC, tally.not_in_time
            )
            return None if fields is None else msgspec.structs.replace(plan, fields=fields)
        outcome = no_plan(seen.refusal)
        took_ms = (trio.current_time() - published_sec) * 1000
        decided = Decided(time.time(), name, scenario, outcome, took_ms, plan.expects(outcome))
        tally.decided(decided, plan.expected, kind=None, of_intent=True)
        return None

    async def _govern(self, plan: PlanToPublish) -> None:
        if plan.fields["decision"] == "RECONCILE_CLOSE" or self.desk.own_governor:
            return  # The first is permitted by P3.3 alone.
        if plan.governor is Governor.GRANTS:
            await self.desk.services.grant(plan.fields)
        elif plan.governor is Governor.DENIES:
            try:
                await self.desk.services.deny_after_p33(plan.fields)
            except NotInTimeError as error:
                self.desk.tally.not_in_time(f"{self.symbol.name}: not in time: {error}")

    async def _follow_plan(self, plan: PlanToPublish, scenario: str, published_sec: float) -> None:
        """Follow a plan to its end, and take in what was executed."""
        fill = await self.desk.executor.follow(plan, self.symbol.name, scenario, published_sec)
        if fill is not None:
            self.amount += fill.change
            self.unbooked += 1
            self.ordered_sec = max(self.ordered_sec, fill.begun_sec)

    async def _wait_until_booked(self) -> None:
        """Wait until ledger and snapshot show what was executed."""
        published_sec = trio.current_time()
        try:
            await self.desk.services.wait_for_amounts(
                self.symbol.name, ledger=self.amount, snapshot=self.amount
            )
        except NotInTimeError as error:
            self.desk.tally.not_in_time(f"not in time: {error}")
        self.booked_sec = trio.current_time()
        self.count_booked()
        self.desk.watcher.record.step(Step.BOOKED, (self.booked_sec - published_sec) * 1000)
