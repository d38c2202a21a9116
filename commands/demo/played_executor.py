"""Executors that the demo plays: they consume permits through `permit_gate`, and send orders."""

from __future__ import annotations

import time
from decimal import Decimal
from functools import partial
from random import Random

import trio

from commands.demo.exchange_client import (
    ExchangeClient,
    OrderAnswer,
    OrderRefusedError,
    OrderTooLateError,
)
from commands.demo.executors import Fill
from commands.demo.machine_load import LoadMeter, NotInTimeError
from commands.demo.other_services import OtherServices
from commands.demo.outcome import UNANSWERED, Verdict, outcome_of
from commands.demo.plans import Fields
from commands.demo.record import Record, Step
from commands.demo.results import DIALECTS, executed, not_executed
from commands.demo.scenarios import Governor, PlanToPublish
from commands.demo.tally import Decided, Tally
from permit_gate import GOVERNOR, P33, Granted, Kind, Refused
from permit_gate.ask import TIMEOUT_SEC
from permit_gate.trio_gate import TrioPermitGate

_REPEATED_SHARE = 1 / 3
_GATE_CONNECTIONS = 16


class PlayedExecutor:
    """Waits for both permits of a plan, consumes them, and publishes the result of its order."""

    def __init__(
        self,
        services: OtherServices,
        gate: TrioPermitGate,
        exchange: ExchangeClient,
        tally: Tally,
        rng: Random,
        meter: LoadMeter,
        record: Record,
    ) -> None:
        self._services = services
        self._gate = gate
        self._exchange = exchange
        self._tally = tally
        self._rng = rng
        self._meter = meter
        self._record = record

    async def warm_up(self, symbol: str) -> None:
        """Open the gate's connections, as in an executor that has been running for a while."""
        async with trio.open_nursery() as nursery:
            for number in range(_GATE_CONNECTIONS):
                nursery.start_soon(
                    partial(self._gate.acquire, f"warm-up-{number}", symbol, (P33,), timeout_sec=0.05)
                )

    async def follow(
        self, plan: PlanToPublish, symbol: str, scenario: str, published_sec: float
    ) -> Fill | None:
        """Wait at the gate, execute what it grants, and publish the result."""
        fields = plan.fields
        unanswered = plan.expected == UNANSWERED
        patience_sec = TIMEOUT_SEC if unanswered else self._meter.stretched(TIMEOUT_SEC)
        sources = (P33,) if fields["decision"] == "RECONCILE_CLOSE" else (GOVERNOR, P33)
        answer = await self._gate.acquire(fields["plan_id"], symbol, sources, timeout_sec=patience_sec)
        took_ms = (trio.current_time() - published_sec) * 1000
        outcome = outcome_of(answer)
        kind = str(answer.terms.kind) if isinstance(answer, Granted) and answer.terms else None
        self._tally.decided(
            Decided(time.time(), symbol, scenario, outcome, took_ms, plan.expects(outcome)),
            plan.expected,
            kind=kind,
            of_intent=plan.intent is not None,
        )
        if isinstance(answer, Granted):
            fill = await self._execute(fields, symbol, answer)
            self._record.plan(fields["plan_id"]).end = str(outcome)
            return fill
        self._record.plan(fields["plan_id"]).end = str(outcome)
        if plan.expected.verdict is Verdict.REFUSED and plan.governor is not Governor.GRANTS:
            await self._decline(fields, symbol, answer)
        elif outcome.verdict is Verdict.REFUSED and not unanswered:
            # Its permit may come yet, and would reserve the quantity.
            await self._publish_not_executed(fields, str(answer))
        return None

    async def _execute(self, fields: Fields, symbol: str, granted: Granted) -> Fill | None:
        terms = granted.terms
        if terms is None or terms.kind is Kind.NONE:
            return None
        begun_sec = trio.current_time()
        client_order_id = f"demo-{fields['plan_id'][-24:]}"
        try:
            order = await self._exchange.market_order(
                symbol,
                terms.order_side or fields["side"],
                terms.order_quantity(Decimal(fields.get("qty") or 0)),
                reduce_only=terms.kind is Kind.CLOSE,
                client_order_id=client_order_id,
            )
        except OrderRefusedError as error:
            late = isinstance(error, OrderTooLateError)
            count = self._tally.not_in_time if late else self._tally.surprise
            count(f"the exchange refused an allowed order: {error}")
            await self._publish_not_executed(fields, str(error))
            return None
        self._tally.orders += 1
        self._record.plan(fields["plan_id"]).order = client_order_id
        self._record.step(Step.ORDERS, (trio.current_time() - begun_sec) * 1000)
        if fields["decision"] == "EXECUTE":
            await self._services.note_execution(symbol)
        await self._report(fields, order)
        return Fill(order.executed_qty if order.side == "BUY" else -order.executed_qty, begun_sec)

    async def _report(self, fields: Fields, order: OrderAnswer) -> None:
        """Publish the result, one in three times twice, as redeliveries do."""
        rng, tally = self._rng, self._tally
        result = executed(fields, order, rng.choice(DIALECTS), time.time())
        await self._services.publish_result(result)
        if rng.random() < _REPEATED_SHARE:
            await self._services.publish_result(result)
            tally.repeated_results += 1

    async def _decline(self, fields: Fields, symbol: str, refused: Refused) -> None:
        """Publish that the plan is not executed, and wait until its permit is revoked."""
        await self._publish_not_executed(fields, str(refused))
        try:
            await self._services.wait_for_revocation(fields)
        except NotInTimeError as error:
            self._tally.not_in_time(f"{symbol}: not in time: {error}")

    async def _publish_not_executed(self, fields: Fields, why: str) -> None:
        result = not_executed(fields, why, self._rng, time.time())
        await self._services.publish_result(result)
