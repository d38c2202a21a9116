"""Plans in the executor's hand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from brain.execution.drafting import Drafted
from brain.identifiers import EntryId, PlanId, Symbol, lenient_text
from brain.numbers import NotANumberError, parse_decimal
from brain.plans.plan import MalformedPlan, Plan, PlanDecision
from permit_gate.answers import Terms
from store.execution_records import PermitLook


class PlanInHand(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was read, on its way to an order or a refusal.

    `plan` is malformed where only its permits are awaited, for their reason. Waits end at `deadline_sec`
    (trio's clock), begins at `deadline_ms` (Redis's clock); `read_sec` is the moment of reading. `manual`: of
    the manual lane.
    """

    entry_id: EntryId
    stream: str
    fields: Mapping[bytes, bytes]
    plan: Plan | MalformedPlan
    symbol: Symbol
    published_ms: int
    read_sec: float
    deadline_sec: float
    deadline_ms: int
    manual: bool

    @property
    def plan_id(self) -> PlanId:
        """The plan's id."""
        return self.plan.plan_id

    @property
    def decision(self) -> PlanDecision:
        """The plan's decision; of a malformed plan, the one that needs all permits."""
        return self.plan.decision if isinstance(self.plan, Plan) else PlanDecision.EXECUTE

    @property
    def source(self) -> str:
        """The plan's source; empty where it has none."""
        return self.plan.source if isinstance(self.plan, Plan) else text_of(self.fields, b"source")

    @property
    def action(self) -> str:
        """The plan's action; empty where it has none."""
        return self.plan.action if isinstance(self.plan, Plan) else ""


class GrantedPlan(msgspec.Struct, frozen=True):
    """All permits of a plan are there and grant. `permits`: key, text and creation (epoch ms) of each.

    `hints` are the Governor's `qty_scale` and `downsize_factor`, as its permit has them.
    """

    in_hand: PlanInHand
    plan: Plan
    terms: Terms
    look: PermitLook
    permits: tuple[tuple[str, bytes, int | None], ...]
    issuers: tuple[str, ...]
    hints: tuple[object, object]
    waited_ms: int


class TakenPlan(msgspec.Struct, frozen=True):
    """A plan whose permits were consumed before: here, where it has a record, or by the consumer `by`."""

    by: str
    waited_ms: int


class RefusedPlan(msgspec.Struct, frozen=True):
    """A plan that ends without an order, and the `error` of its result. `drafted`: the draft that says so."""

    error: str
    waited_ms: int
    drafted: Drafted | None = None


def text_of(fields: Mapping[bytes, bytes], name: bytes) -> str:
    """Return a field's text; empty where it is missing or cannot be read."""
    return lenient_text(fields, name) or ""


def leverage_of(fields: Mapping[bytes, bytes]) -> int | str | None:
    """Return the leverage that a plan asks for; None for none, its text where that is no whole number."""
    text = text_of(fields, b"leverage")
    if not text:
        return None
    try:
        leverage = parse_decimal(text)
    except NotANumberError:
        return text[:16]
    if leverage == Decimal(0):
        return None
    whole = leverage.to_integral_value()
    return int(whole) if whole == leverage and whole > 0 else text[:16]
