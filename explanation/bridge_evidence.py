"""Plans that another intent bridge has made of the intents that our shadow has answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from brain.moment import iso_utc
from brain.numbers import NotANumberError, parse_decimal, plain
from explanation.comparison import Pair, Side, Theirs, by_absence, proven, unknown
from explanation.timeline import Dated, entry_ms

#: A bridge makes the plan of an intent within so long (ms).
WITHIN_MS = 10_000
#: Ids of two streams may differ by as much, the plan's being the earlier (ms).
_EARLIER_MS = 200
#: Quantities of two moments' mark prices differ by less than this share.
_SHARE = Decimal("0.01")
_CLOSING = ("CLOSE", "FULL", "PARTIAL")
_NO_INTENT = "no intent of ours"


class Answered(msgspec.Struct, frozen=True):
    """Our shadow's answer to one intent, as its audit entry has it."""

    entry: Dated

    @property
    def intent_ms(self) -> int:
        """Return when the intent was published."""
        return entry_ms(self.entry.fields.get("entry_id", "")) or self.entry.at_ms

    @property
    def makes_plan(self) -> bool:
        """True if it made a plan of it."""
        return self.entry.fields.get("outcome") == "plan"


def compared_intents(
    answers: Sequence[Answered], plans: Sequence[Dated], *, plans_begin_ms: int, now_ms: int
) -> Iterator[Pair]:
    """Yield each answer beside the other bridge's plan, newest first, then its plans of no intent of ours.

    A plan belongs to an intent by its id, else where it is the only one of its symbol and direction in the
    10 s behind the intent, and the intent the only one before it. `plans`: those that a bridge made, which
    are kept since `plans_begin_ms`.
    """
    taken: set[str] = set()
    contested: set[str] = set()
    found: dict[str, Theirs] = {}
    notes: dict[str, str] = {}
    by_id = {each.fields.get("plan_id", ""): each for each in plans}
    for answer in answers:
        name, plan = answer.entry.entry_id, by_id.get(answer.entry.fields.get("plan_id", ""))
        if plan is not None:
            found[name], notes[name] = _made(plan, "by its id"), _note(answer, plan)
            taken.add(plan.entry_id)
    rest = [each for each in answers if each.entry.entry_id not in found]
    for answer in rest:
        name = answer.entry.entry_id
        fit = [each for each in plans if each.entry_id not in taken and _may_be_of(each, answer)]
        rivals = [each for each in rest if each is not answer and any(_may_be_of(plan, each) for plan in fit)]
        if len(fit) == 1 and not rivals:
            taken.add(fit[0].entry_id)
            later = fit[0].at_ms - answer.intent_ms
            found[name], notes[name] = _made(fit[0], f"{later} ms later"), _note(answer, fit[0])
        elif fit:
            contested.update(each.entry_id for each in fit)
            found[name] = unknown("several intents or plans of the symbol and direction within 10 s")
        elif plans_begin_ms > answer.intent_ms:
            found[name] = unknown("plans of that time are trimmed")
        elif now_ms - answer.intent_ms < WITHIN_MS:
            found[name] = unknown("its plan may still come")
        else:
            found[name] = by_absence(False, "no plan", "apply.plan, which has none of it")
    for answer in answers:
        name, fields = answer.entry.entry_id, answer.entry.fields
        yield Pair(
            id=fields.get("entry_id", ""),
            symbol=fields.get("symbol", ""),
            at=iso_utc(answer.intent_ms),
            ours=_ours(answer),
            theirs=found[name],
            note=notes.get(name, "") if answer.makes_plan else "",
        )
    since_ms = min((each.intent_ms for each in answers), default=now_ms)
    for plan in plans:
        if plan.entry_id not in taken | contested and plan.at_ms >= since_ms:
            fields = plan.fields
            yield Pair(
                id=f"plan {fields.get('plan_id', '')}",
                symbol=fields.get("symbol", ""),
                at=iso_utc(plan.at_ms),
                ours=Side(False, _NO_INTENT),
                theirs=_made(plan, "apply.plan"),
            )


def _ours(answer: Answered) -> Side:
    fields = answer.entry.fields
    if not answer.makes_plan:
        return Side(False, fields.get("reason", ""))
    return Side(True, f"{fields.get('side', '')} {fields.get('qty', '')}".strip())


def _made(plan: Dated, seen_in: str) -> Theirs:
    fields = plan.fields
    asked = fields.get("qty") or fields.get("close_qty", "")
    return proven(
        True, f"{fields.get('side', '')} {asked}".strip(), f"plan {fields.get('plan_id')}, {seen_in}"
    )


def _may_be_of(plan: Dated, answer: Answered) -> bool:
    mine, its = answer.entry.fields, plan.fields
    if mine.get("symbol") != its.get("symbol"):
        return False
    if not -_EARLIER_MS <= plan.at_ms - answer.intent_ms <= WITHIN_MS:
        return False
    closes = its.get("action", "").startswith(_CLOSING) or its.get("side") == "CLOSE"
    if not answer.makes_plan and not mine.get("side"):
        return True
    if closes or mine.get("action", "").startswith(_CLOSING):
        return closes and (mine.get("action", "").startswith(_CLOSING) or mine.get("eval_type") == "EXIT")
    return mine.get("side") == its.get("side")


def _note(answer: Answered, plan: Dated) -> str:
    """Return how the two plans differ; empty where they ask for the same."""
    mine, its = answer.entry.fields, plan.fields
    differ = [
        f"{name} {mine[name]}, theirs {its[name]}"
        for name in ("action", "eval_type")
        if mine.get(name) and its.get(name) and mine[name] != its[name]
    ]
    return "; ".join([*differ, *_quantities(mine, its)])


def _quantities(mine: Mapping[str, str], its: Mapping[str, str]) -> Iterator[str]:
    try:
        own, other = parse_decimal(mine.get("qty", "")), parse_decimal(its.get("qty", ""))
    except NotANumberError:
        return
    # A quantity of 0 means: as the action says.
    if own and other and abs(own - other) > _SHARE * max(abs(own), abs(other)):
        yield f"quantity {plain(own)}, theirs {plain(other)}"
