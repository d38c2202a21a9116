"""Record of the chain: each intent and each plan, as the streams show it. Times are Redis's clock.

It keeps the latest 20 000 intents and plans, and those that have no end. `accounting` looks for what is
missing or twice in it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import msgspec

from commands.demo.keys import BRIDGE, EXECUTOR, GOVERNOR, KEYS, LANES
from commands.demo.plans import Fields

KEPT = 20_000
#: End of a plan that no role can read.
DEAD_LETTER = "dead letter"
_GROWING = ("NEW", "PARTIALLY_FILLED")
_PERMIT = "permit:P3.3"

T = TypeVar("T")


class Step(StrEnum):
    """Steps of the chain, in their order."""

    INTENTS = "intents"
    PLANS = "plans"
    GOVERNOR = "Governor"
    P33 = "P3.3"
    ORDERS = "orders"
    BOOKED = "booked"


#: Streams of the record, each before those that depend on it.
STREAMS = (
    *LANES, BRIDGE.audit, KEYS.plans, GOVERNOR.audit, KEYS.audit, EXECUTOR.audit, KEYS.results,
    KEYS.dead_plans, KEYS.events,
)  # fmt: skip


@dataclass
class IntentRecord:
    """One entry of an intent's stream, and each outcome that the bridge has given it."""

    at_ms: int = 0
    outcomes: list[str] = field(default_factory=list)
    plan_id: str = ""
    refusal: str = ""


@dataclass
class PlanRecord:
    """One plan: `entries` of it in `apply.plan`, `decisions` of P3.3, and its end.

    `end` says in words what became of it, and is empty until then. `order`: client order id of its order.
    """

    plan: Fields = field(default_factory=dict)
    entries: int = 0
    intent_ms: int = 0
    plan_ms: int = 0
    decisions: int = 0
    permit: str = ""
    begun_ms: int = 0
    result: Fields = field(default_factory=dict)
    result_id: str = ""
    end: str = ""
    order: str = ""

    @property
    def result_ms(self) -> int:
        return ms_of(self.result_id)


class CaseEvent(msgspec.Struct, frozen=True):
    """One entry of `reconcile.events`."""

    at_ms: int
    name: str


class Record:
    """The chain's record. Results of the daemon's executor end the plans; who plays one notes their ends."""

    def __init__(self) -> None:
        self.intents: dict[str, IntentRecord] = {}
        self.plans: dict[str, PlanRecord] = {}
        #: Plans that were published straight to `apply.plan`, without an intent.
        self.direct: set[str] = set()
        #: Client order ids of plans that are no longer kept.
        self.former_orders: set[str] = set()
        self.cases: dict[str, list[CaseEvent]] = {}
        #: Number of intents by their stream's first word.
        self.lanes: Counter[str] = Counter()
        self.results = 0
        #: Durations of each step (ms).
        self.step_ms: dict[Step, deque[float]] = {step: deque(maxlen=KEPT) for step in Step}

    def plan(self, plan_id: str) -> PlanRecord:
        """Return a plan's record, which may begin with any of its entries."""
        found = self.plans.get(plan_id)
        if found is None:
            found = self.plans[plan_id] = PlanRecord()
            if former := _drop_oldest(self.plans, lambda plan: bool(plan.end)):
                self.former_orders.add(former.order)
        return found

    def intent(self, name: str) -> IntentRecord:
        """Return the record of an intent; `name` as `intent_name` has it."""
        found = self.intents.get(name)
        if found is None:
            found = self.intents[name] = IntentRecord()
            _drop_oldest(self.intents, lambda intent: bool(intent.outcomes))
        return found

    def take(self, stream: str, entry_id: str, fields: Mapping[str, str]) -> str:
        """Take in an entry; return the intent's name, the plan id or the symbol that it is about."""
        at_ms = ms_of(entry_id)
        if stream in LANES:
            name = intent_name(stream, entry_id)
            self.intent(name).at_ms = at_ms
            self.lanes[name.partition(".")[0]] += 1
            return name
        if stream == BRIDGE.audit:
            return self._take_outcome(fields)
        if stream == KEYS.events:
            symbol = fields["symbol"]
            self.cases.setdefault(symbol, []).append(CaseEvent(at_ms, fields["event"]))
            return symbol
        self.results += stream == KEYS.results
        plan_id = fields.get("plan_id", "")
        # Results of others, and unreadable ones, end no plan of the record.
        if plan_id and (stream != KEYS.results or "client_order_id" in fields):
            self._take_of_plan(stream, entry_id, self.plan(plan_id), fields)
        return plan_id

    def _take_outcome(self, fields: Mapping[str, str]) -> str:
        name = intent_name(fields["stream"], fields["entry_id"])
        intent = self.intent(name)
        planned = fields["outcome"] == "plan"
        intent.plan_id, intent.refusal = (fields["plan_id"], "") if planned else ("", fields["reason"])
        intent.outcomes.append(intent.plan_id or intent.refusal)
        if planned:
            self.plan(intent.plan_id).intent_ms = intent.at_ms
        return name

    def _take_of_plan(self, stream: str, entry_id: str, plan: PlanRecord, fields: Mapping[str, str]) -> None:
        at_ms = ms_of(entry_id)
        if stream == KEYS.plans:
            plan.plan, plan.plan_ms = dict(fields), at_ms
            plan.entries += 1
            self._step(Step.PLANS, plan.intent_ms, at_ms)
        elif stream == GOVERNOR.audit:
            self._step(Step.GOVERNOR, plan.plan_ms, at_ms)
        elif stream == KEYS.audit:
            plan.decisions += 1
            self._step(Step.P33, plan.plan_ms, at_ms)
        elif stream == EXECUTOR.audit:
            if fields["step"] == "begin":
                plan.permit, plan.begun_ms = fields.get(_PERMIT, ""), at_ms
        elif stream == KEYS.dead_plans:
            plan.end = DEAD_LETTER
        else:
            self._take_result(entry_id, plan, fields)

    def _take_result(self, entry_id: str, plan: PlanRecord, fields: Mapping[str, str]) -> None:
        plan.result, plan.result_id = dict(fields), entry_id
        if fields["executed"] != "true":
            plan.end = fields["error"] or "not executed"
        elif fields.get("order_status") not in _GROWING:
            plan.end, plan.order = "executed", fields.get("client_order_id", "")
            if plan.order:
                self._step(Step.ORDERS, plan.begun_ms, plan.result_ms)

    def step(self, step: Step, took_ms: float) -> None:
        """Note how long a step took."""
        self.step_ms[step].append(took_ms)

    def _step(self, step: Step, begun_ms: int, ended_ms: int) -> None:
        if begun_ms:
            self.step(step, max(0.0, float(ended_ms - begun_ms)))


def intent_name(stream: str, entry_id: str) -> str:
    """Return the name of an intent: entries of two streams may have the same id."""
    return f"{stream.rpartition(':')[2]}/{entry_id}"


def ms_of(entry_id: str) -> int:
    """Return the time of an entry (epoch ms), 0 for none."""
    return int(entry_id.partition("-")[0] or 0)


def _drop_oldest(records: dict[str, T], has_ended: Callable[[T], bool]) -> T | None:
    """Drop and return the oldest of too many records that has ended."""
    if len(records) <= KEPT:
        return None
    oldest = next((key for key, record in records.items() if has_ended(record)), None)
    return None if oldest is None else records.pop(oldest)
