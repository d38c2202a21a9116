"""Trader of one symbol in the demo: a plan at a time, from its publication to its booking in the ledger."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from random import Random
from typing import NamedTuple

import trio

from commands.demo.exchange_client import (
    ExchangeClient,
    OrderAnswer,
    OrderRefusedError,
    OrderTooLateError,
    TradedSymbol,
)
from commands.demo.machine_load import LoadMeter
from commands.demo.other_services import NotInTimeError, OtherServices
from commands.demo.outcome import UNANSWERED, Verdict, outcome_of
from commands.demo.plans import Fields, intent
from commands.demo.results import DIALECTS, executed, not_executed
from commands.demo.scenario_catalog import choose
from commands.demo.scenarios import Cooling, Governor, PlanToPublish, Scenario, SymbolState
from commands.demo.tally import Decided, Tally
from permit_gate import GOVERNOR, P33, Granted, Kind, Refused
from permit_gate.ask import TIMEOUT_SEC
from permit_gate.trio_gate import TrioPermitGate

_REPEATED_SHARE = 1 / 3
_COOLDOWN_MARGIN_SEC = 0.25
#: How long a plan may take to its decision, several published at once.
_DECIDED_WITHIN_SEC = 1.0


class Desk(NamedTuple):
    """The services and counters that all traders share."""

    services: OtherServices
    gate: TrioPermitGate
    exchange: ExchangeClient
    tally: Tally
    rng: Random
    meter: LoadMeter


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

    async def run(self, tickets: trio.MemoryReceiveChannel[None]) -> None:
        """Run a scenario for every ticket, until there are no more."""
        async for _ in tickets:
            await self.run_scenario(choose(self._state(), self.desk.rng, time.time()))

    async def run_scenario(self, scenario: Scenario) -> None:
        """Publish the scenario's plans and follow each to its end."""
        services = self.desk.services
        if scenario.hold:
            await services.hold(self.symbol.name)
        plans = [plan.fields for plan in scenario.plans]
        intents = [intent(one.fields, self.desk.rng) for one in scenario.plans if one.from_intent]
        before = self.amount
        published_sec = trio.current_time()
        await services.publish_plans(plans, intents)
        async with trio.open_nursery() as nursery:
            for plan in scenario.plans:
                nursery.start_soon(self._govern, plan)
                nursery.start_soon(self._follow_plan, plan, scenario.name, published_sec)
        if scenario.hold:
            await services.release_hold(self.symbol.name)
        if self.amount != before:
            await self._wait_until_booked()

    def _state(self) -> SymbolState:
        now_sec = trio.current_time()
        if now_sec > self.booked_sec + self.cooldown_sec + _COOLDOWN_MARGIN_SEC:
            cooling = Cooling.NO
        elif now_sec + self.desk.meter.stretched(_DECIDED_WITHIN_SEC) < self.ordered_sec + self.cooldown_sec:
            cooling = Cooling.YES
        else:
            cooling = Cooling.UNSURE
        return SymbolState(self.symbol, self.amount, cooling, self.in_universe, self.listed)

    async def _govern(self, plan: PlanToPublish) -> None:
        if plan.governor is Governor.GRANTS:
            await self.desk.services.grant(plan.fields)
        elif plan.governor is Governor.DENIES:
            try:
                await self.desk.services.deny_after_p33(plan.fields)
            except NotInTimeError as error:
                self.desk.tally.not_in_time(f"{self.symbol.name}: not in time: {error}")

    async def _follow_plan(self, plan: PlanToPublish, scenario: str, published_sec: float) -> None:
        """Wait at the gate, execute what it grants, and publish the result."""
        fields = plan.fields
        unanswered = plan.expected == UNANSWERED
        patience_sec = TIMEOUT_SEC if unanswered else self.desk.meter.stretched(TIMEOUT_SEC)
        answer = await self.desk.gate.acquire(
            fields["plan_id"], self.symbol.name, (GOVERNOR, P33), timeout_sec=patience_sec
        )
        latency_ms = (trio.current_time() - published_sec) * 1000
        outcome = outcome_of(answer)
        kind = str(answer.terms.kind) if isinstance(answer, Granted) and answer.terms else None
        self.desk.tally.decided(
            Decided(time.time(), self.symbol.name, scenario, outcome, latency_ms, outcome == plan.expected),
            plan.expected,
            kind=kind,
        )
        if isinstance(answer, Granted):
            await self._execute(fields, answer)
        elif plan.expected.verdict is Verdict.REFUSED and plan.governor is not Governor.GRANTS:
            await self._decline(fields, answer)
        elif outcome.verdict is Verdict.REFUSED and not unanswered:
            # Its permit may come yet, and would reserve the quantity.
            await self._publish_not_executed(fields, str(answer))

    async def _execute(self, fields: Fields, granted: Granted) -> None:
        terms = granted.terms
        if terms is None or terms.kind is Kind.NONE:
            return
        side = terms.order_side or fields["side"]
        quantity = terms.order_quantity(Decimal(fields.get("qty") or 0))
        self.ordered_sec = trio.current_time()
        try:
            order = await self.desk.exchange.market_order(
                self.symbol.name,
                side,
                quantity,
                reduce_only=terms.kind is Kind.CLOSE,
                client_order_id=f"demo-{fields['plan_id'][-24:]}",
            )
        except OrderRefusedError as error:
            tally = self.desk.tally
            count = tally.not_in_time if isinstance(error, OrderTooLateError) else tally.surprise
            count(f"the exchange refused an allowed order: {error}")
            await self._publish_not_executed(fields, str(error))
            return
        self.desk.tally.orders += 1
        self.amount += order.executed_qty if order.side == "BUY" else -order.executed_qty
        if fields["decision"] == "EXECUTE":
            await self.desk.services.note_execution(self.symbol.name)
        await self._report(fields, order)

    async def _report(self, fields: Fields, order: OrderAnswer) -> None:
        """Publish the result, one in three times twice, as redeliveries do."""
        rng, tally = self.desk.rng, self.desk.tally
        result = executed(fields, order, rng.choice(DIALECTS), time.time())
        await self.desk.services.publish_result(result)
        tally.results += 1
        if rng.random() < _REPEATED_SHARE:
            await self.desk.services.publish_result(result)
            tally.repeated_results += 1

    async def _decline(self, fields: Fields, refused: Refused) -> None:
        """Publish that the plan is not executed, and wait until its permit is revoked."""
        await self._publish_not_executed(fields, str(refused))
        try:
            await self.desk.services.wait_for_revocation(fields)
        except NotInTimeError as error:
            self.desk.tally.not_in_time(f"{self.symbol.name}: not in time: {error}")

    async def _publish_not_executed(self, fields: Fields, why: str) -> None:
        result = not_executed(fields, why, self.desk.rng, time.time())
        await self.desk.services.publish_result(result)

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
        self.desk.tally.booking_ms.append((self.booked_sec - published_sec) * 1000)
