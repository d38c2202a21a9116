"""Traces of one plan: audit record, mark, permit, reservation, stream entry, dead letters, execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from brain.identifiers import EntryId, PlanId
from brain.ledger.plan_mark import PlanMark, Settled
from brain.ledger.unknown_outcomes import UnknownOutcome
from brain.plans.plan import MalformedPlan, Plan, SkippedPlan, UnanswerablePlan
from explanation.chain import StreamSpan
from explanation.execution import ExecutionTraces
from explanation.governing import GovernorTraces
from explanation.intents import IntentTraces


class Recorded(msgspec.Struct, frozen=True):
    """A plan's audit record, and the id of its entry, which has the time of writing (Redis's clock)."""

    audit_id: EntryId
    entry_id: EntryId
    record: bytes


class Published(msgspec.Struct, frozen=True):
    """A plan's entry on `apply.plan`, decoded, and the consumer group's progress with it."""

    entry_id: EntryId
    fields: dict[str, str]
    plan: Plan | SkippedPlan | MalformedPlan | UnanswerablePlan
    progress: Literal["unread", "pending", "acknowledged"]
    consumer: str | None = None
    deliveries: int = 0
    idle_sec: float = 0.0


class DeadLetter(msgspec.Struct, frozen=True):
    """An entry of `apply.plan.dead`: the time of writing (its id), and the error."""

    id: EntryId
    error: str


class WaitingResult(msgspec.Struct, frozen=True):
    """A result of the plan that is delivered and not booked; `legs_missing`: its ledger has no legs."""

    entry_id: EntryId
    idle_sec: float
    legs_missing: bool


class PlanTraces(msgspec.Struct, frozen=True):
    """All traces of a plan. `permit_ttl_ms` is None where the permit never expires or is not there.

    `consumed_by` is the consumer that `permit_gate` remembers. `unknown`: its order may have been filled, as
    its results show; that means something while the open permit lives. `unknown_permits`: those of other
    plans. `similar` are plan ids that begin like the one asked for, when nothing was found of that. `spans`
    are those of the roles' streams, None where they were not looked up.
    """

    plan_id: PlanId
    now_ms: int
    recorded: Recorded | None
    mark: PlanMark | Settled | None
    permit: bytes | None
    permit_ttl_ms: int | None
    consumed_by: str | None
    published: Published | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    similar: tuple[PlanId, ...] = ()
    unknown: UnknownOutcome | None = None
    waiting_result: WaitingResult | None = None
    unknown_permits: tuple[UnknownOutcome, ...] = ()
    execution: ExecutionTraces = ExecutionTraces()
    governor: GovernorTraces | None = None
    governor_permit: bool = False
    intent: IntentTraces | None = None
    spans: Mapping[str, StreamSpan] | None = None

    @property
    def found(self) -> bool:
        """True if there is any trace."""
        traces = (self.recorded, self.mark, self.permit, self.published, self.dead_letters, self.governor)
        return any(traces) or self.execution.found
