"""Deciders beside P3.3 and the Governor, and all of them by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from brain.execution.draft_record import DraftRecord, UnreadableDraftError, draft_again
from brain.execution.drafting import Drafted
from brain.execution.sizing import SizeLimits
from brain.intents.case import BridgeRules
from brain.intents.record import NotAnsweredOnACaseError, UnreadableRecordError, answer_again
from brain.reconciliation.evidence import Finding, Unexplained
from brain.reconciliation.record import UnreadableWeighingError, weigh_again
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.weighing import causes_of
from brain.symbols.publication import Judgement
from brain.symbols.record import UnreadableUniverseError, judge_universe_again
from brain.symbols.universe import UniverseRules
from commands.replay.subject import Answer, NotReplayedError, ReplayedRecord, Subject
from commands.replay.subjects import GOVERNOR, P33
from settings.variables import FIELD_OF
from store.keys import BridgeNames, ExecutorKeys, ReconcileKeys, UniverseNames

#: Fields of `UniverseRules` by those of the settings, where they are not `universe_<field>`.
_UNIVERSE_RULE_OF = {"universe_max": "most"}
_BRIDGE_RULE_OF = {
    "intent_max_age_sec": "max_age_sec",
    "skip_flat_sell": "skip_flat_sell",
    "min_hold_sec": "min_hold_sec",
    "max_intent_notional": "max_notional",
    "taker_fee_rate": "taker_fee_rate",
    "max_exposure_pct": "max_exposure_pct",
}
#: Of `BridgeRules`: their settings are exact decimals or whole numbers.
_FLOATS = frozenset(each.name for each in msgspec.structs.fields(BridgeRules) if each.type is float)
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


def _weighed(text: bytes, changes: Mapping[str, object]) -> ReplayedRecord:
    changed = {
        name: frozenset(map(DriftCause, value)) if isinstance(value, tuple) else value
        for name, value in changes.items()
    }
    try:
        again = weigh_again(text, changed)
    except UnreadableWeighingError as error:
        raise NotReplayedError(str(error), None) from None
    drift = again.record.drift
    name = f"{drift.reason} of ledger {drift.version or 'none'}"
    return ReplayedRecord(name, drift.symbol, _proven(again.record.finding), _proven(again.finding), again)


def _proven(finding: Finding) -> Answer:
    if isinstance(finding, Unexplained):
        return Answer(False, finding.gap or "unexplained")
    return Answer(bool(finding.adopted), ",".join(causes_of(finding.adopted or finding.foreign)))


def _answered(text: bytes, changes: Mapping[str, object]) -> ReplayedRecord:
    # Durations and fractions of its rules are binary; notionals and rates are exact.
    changed = {name: float(str(value)) if name in _FLOATS else value for name, value in changes.items()}
    try:
        again = answer_again(text, changed)
    except NotAnsweredOnACaseError as error:
        raise NotReplayedError(str(error), error.reason) from None
    except UnreadableRecordError as error:
        raise NotReplayedError(str(error), None) from None
    record, before, after = again.record, again.recorded, again.answer
    name = f"{record.entry_id} of {record.lane}"
    symbol = None if record.case is None else record.case.intent.symbol
    return ReplayedRecord(
        name, symbol, _planned(before.plan, before.reason), _planned(after.plan, after.reason), again
    )


def _planned(plan: Mapping[str, str], reason: str) -> Answer:
    return Answer(bool(plan), f"{plan['side']} {plan['action']}" if plan else reason)


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
RECONCILE: Final = Subject(
    "weighings",
    "BOOK",
    "WAIT",
    "ledgers, holds and evidence",
    ("P34_",),
    {"P34_ADOPT_CAUSES": "adopted"},
    lambda keys, shadow: ReconcileKeys(keys, shadow=shadow).events,
    _weighed,
    sparse=True,
)
BRIDGE: Final = Subject(
    "answers to intents",
    "PLAN",
    "REFUSE",
    "closes, positions and exposure",
    ("INTENT_BRIDGE_", "MIN_HOLD_", "QT_", "COST_", "MAX_EXPOSURE_"),
    _rules_of(BridgeRules.__struct_fields__, _BRIDGE_RULE_OF),
    lambda keys, shadow: BridgeNames(keys.prefix, shadow=shadow).audit,
    _answered,
)
SUBJECTS: Final[Mapping[str, Subject]] = {
    "p33": P33,
    "governor": GOVERNOR,
    "executor": EXECUTOR,
    "universe": UNIVERSE,
    "reconcile": RECONCILE,
    "bridge": BRIDGE,
}


def subject_of(role: str | None, changes: Iterable[str]) -> Subject:
    """Return the decider of a role; without one, that whose settings are changed, else P3.3."""
    if role is not None:
        return SUBJECTS[role]
    names = tuple(changes)
    of_roles = (each for each in SUBJECTS.values() if each is not P33)
    return next((each for each in of_roles if any(name.startswith(each.begins) for name in names)), P33)
