"""A batch of plan entries as delivered, sorted by what has to be done with each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.attempts import Failures
from actors.plan_work import Refusal, Work
from brain.decision import deny_malformed, evaluation_failed
from brain.plan import MalformedPlan, Plan, SkippedPlan, UnanswerablePlan
from brain.plan_fields import read_plan
from store.records import Entry


class PlanBatch(msgspec.Struct):
    """`works` need a decision, in order, on what is known of their `symbols`; nothing else does.

    `done` are ids to be acknowledged without an answer, those of `skipped` among them; `refusals` rest on no
    state; the `unanswerable` go to the dead letters with an error.
    """

    works: list[Work] = []
    symbols: set[str] = set()
    done: list[str] = []
    skipped: list[SkippedPlan] = []
    refusals: list[Refusal] = []
    unanswerable: list[tuple[Entry, str]] = []


def sort_entries(entries: Sequence[Entry], failures: Failures, most_failures: int) -> PlanBatch:
    """Read each entry. A plan that has failed `most_failures` times is not looked at again. Never raises."""
    batch = PlanBatch()
    for entry in entries:
        if entry.fields is None:
            batch.done.append(entry.id)
            continue
        failed = failures.of(entry.id, entry.deliveries)
        plan = read_plan(entry.fields)
        match plan:
            case Plan() if failed < most_failures:
                batch.works.append(Work(entry, plan))
                batch.symbols.add(plan.symbol)
            case Plan() | MalformedPlan():
                batch.refusals.append(_refusal(entry, plan, failed))
            case SkippedPlan():
                batch.done.append(entry.id)
                batch.skipped.append(plan)
            case UnanswerablePlan():
                batch.unanswerable.append((entry, plan.error))
    return batch


def _refusal(entry: Entry, plan: Plan | MalformedPlan, failed: int) -> Refusal:
    """The answer to a plan that cannot be read, or that has failed too often to be looked at again."""
    if isinstance(plan, MalformedPlan):
        return Refusal(entry, plan.plan_id, plan.symbol, deny_malformed(plan))
    error = f"deciding it has failed {failed} times"
    return Refusal(entry, plan.plan_id, plan.symbol, evaluation_failed(failed), error)
