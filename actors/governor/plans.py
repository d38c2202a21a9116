"""Plans in hand of the Governor, and entries sorted by what has to be done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from actors.stream_consumer import MOST_FAILURES, FailureCounter
from brain.governor.plan_inputs import Score, read_kill_score
from brain.identifiers import EntryId, PlanId, Symbol, is_symbol, lenient_text
from brain.plans.plan import MalformedPlan, Plan, PlanDecision, UnanswerablePlan
from brain.plans.shared_plans import AnyPlan, read_alone
from brain.symbols.symbol_rules import SymbolRules
from store.records import Entry

_EXECUTE = PlanDecision.EXECUTE


class GovernedPlan(msgspec.Struct, eq=False):
    """A plan on its way to a written judgement, or to a written observation alone (`plan` is None).

    `symbol` is None where it is not readable. `observed`: its score is one of a symbol of the exchange.
    `failed`: its judgement has raised so often that it is refused without another one; one that needs none is
    a dead letter alone. `was_observed`: with another decision, which was published before.
    """

    entry: Entry
    plan_id: PlanId
    symbol: Symbol | None
    plan: Plan | MalformedPlan | None
    score: Score
    observed: bool
    failed: int = 0
    attempts: int = 0
    was_observed: bool = False

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        """Return the entry as published."""
        return self.entry.fields or {}


class SortedEntries(msgspec.Struct):
    """Entries of a batch. The `pending` are judged or observed, in order; `done` are acknowledged alone."""

    pending: list[GovernedPlan] = []
    done: list[EntryId] = []
    unanswerable: list[tuple[EntryId, str]] = []


def sort_entries(
    entries: Sequence[Entry],
    failures: FailureCounter,
    rules: Mapping[str, SymbolRules] | None,
    read: Callable[[EntryId, Mapping[bytes, bytes]], AnyPlan] = read_alone,
) -> SortedEntries:
    """Read each entry. Never raises. `rules`: the symbols of the exchange, None while they are not known.

    Only EXECUTE is judged. A plan of any other decision is an observation where it has a kill score and a
    symbol of the exchange. While its symbols are not known, all symbols count: a score that is left out would
    be missing from the statistics.
    """
    batch = SortedEntries()
    for entry in entries:
        if entry.fields is None:
            batch.done.append(entry.id)
            continue
        plan = read(entry.id, entry.fields)
        if isinstance(plan, UnanswerablePlan):
            batch.done.append(entry.id)
            batch.unanswerable.append((entry.id, plan.error))
            continue
        judged = _judged(plan, entry.fields)
        symbol = _symbol(entry.fields) if judged is None else judged.symbol
        score = read_kill_score(entry.fields)
        observed = score.value is not None and symbol is not None and (rules is None or symbol in rules)
        if judged is None and not observed:
            batch.done.append(entry.id)
            continue
        failed = failures.of(entry.id, entry.deliveries)
        batch.pending.append(
            GovernedPlan(
                entry,
                plan.plan_id,
                symbol,
                judged,
                score,
                observed,
                failed if failed >= MOST_FAILURES else 0,
            )
        )
    return batch


def _judged(plan: object, fields: Mapping[bytes, bytes]) -> Plan | MalformedPlan | None:
    """Return the plan if its decision is EXECUTE, or, of one that cannot be read, may be."""
    if isinstance(plan, Plan):
        return plan if plan.decision is _EXECUTE else None
    if isinstance(plan, MalformedPlan):
        other = (lenient_text(fields, b"decision") or _EXECUTE) != _EXECUTE
        return None if other else plan
    return None


def _symbol(fields: Mapping[bytes, bytes]) -> Symbol | None:
    text = lenient_text(fields, b"symbol")
    return Symbol(text) if text is not None and is_symbol(text) else None
