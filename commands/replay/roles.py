"""Deciders beside P3.3 and the Governor, and all of them by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from brain.execution.draft_record import DraftRecord, UnreadableDraftError, draft_again
from brain.execution.drafting import Drafted
from brain.execution.sizing import SizeLimits
from brain.symbols.publication import Judgement
from brain.symbols.record import UnreadableUniverseError, judge_universe_again
from brain.symbols.universe import UniverseRules
from commands.replay.subject import Answer, NotReplayedError, ReplayedRecord, Subject
from commands.replay.subjects import GOVERNOR, P33
from settings.variables import FIELD_OF
from store.keys import ExecutorKeys, UniverseNames

#: Fields of `UniverseRules` by those of the settings, where they are not `universe_<field>`.
_UNIVERSE_RULE_OF = {"universe_max": "most"}
_LIMIT_OF = {
    "apply_downsize": "apply_downsize",
    "allow_upsize": "allow_upsize",
    "min_notional_usdt": "min_notional",
    "max_notional_usdt": "max_notional",
}


def _drafted(text: bytes, changes: Mapping[str, object]) -> ReplayedRecord:
    try:
        again = draft_again(text, changes)
    except UnreadableDraftError as error:
        raise NotReplayedError(str(error), None) from None
    case = again.record.case
    return ReplayedRecord(case.plan_id, case.symbol, _sent(again.record), _sent(again.drafted), again)


def _sent(drafted: DraftRecord | Drafted) -> Answer:
    order = drafted.order
    if order is None:
        return Answer(False, drafted.error)
    return Answer(True, f"{order.side} {order.kind}".strip())


def _chosen(text: bytes, changes: Mapping[str, object]) -> ReplayedRecord:
    try:
        again = judge_universe_again(text, changes)
    except UnreadableUniverseError as error:
        raise NotReplayedError(str(error), None) from None
    name = f"universe of {again.record.decided_ms}"
    return ReplayedRecord(name, None, _published(again.recorded), _published(again.judged), again)


def _published(judgement: Judgement) -> Answer:
    if judgement.universe is None:
        return Answer(False, judgement.outcome)
    return Answer(True, f"{len(judgement.universe.symbols)} symbols")


def _rules_of(known: Iterable[str], rule_of: Mapping[str, str]) -> dict[str, str]:
    """Return the settings whose values the records hold under `known` names."""
    names = {name: rule_of.get(field, "") for name, field in FIELD_OF.items()}
    return {name: rule for name, rule in names.items() if rule in known}


EXECUTOR: Final = Subject(
    "drafted orders",
    "SEND",
    "REFUSE",
    "positions, grants and results",
    ("EXEC_", "INTENT_EXECUTOR_", "APPLY_"),
    _rules_of(SizeLimits.__struct_fields__, _LIMIT_OF),
    lambda keys, shadow: ExecutorKeys(keys).dry_run if shadow else ExecutorKeys(keys).audit,
    _drafted,
    sparse=True,
)
UNIVERSE: Final = Subject(
    "refreshes",
    "PUBLISH",
    "KEEP",
    "lists that they are compared with",
    ("UNIVERSE_",),
    _rules_of(
        frozenset(UniverseRules.__struct_fields__) - {"mode"},
        {field: field.removeprefix("universe_") for field in FIELD_OF.values()} | _UNIVERSE_RULE_OF,
    ),
    lambda keys, shadow: UniverseNames(keys.prefix, shadow=shadow).audit,
    _chosen,
)
SUBJECTS: Final[Mapping[str, Subject]] = {
    "p33": P33,
    "governor": GOVERNOR,
    "executor": EXECUTOR,
    "universe": UNIVERSE,
}


def subject_of(role: str | None, changes: Iterable[str]) -> Subject:
    """Return the decider of a role; without one, that whose settings are changed, else P3.3."""
    if role is not None:
        return SUBJECTS[role]
    names = tuple(changes)
    of_roles = (each for each in SUBJECTS.values() if each is not P33)
    return next((each for each in of_roles if any(name.startswith(each.begins) for name in names)), P33)
