"""Deciders of plans: P3.3 and the Governor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from brain.decisions.permit_text import NotReplayableError
from brain.decisions.replaying import COMPARED_RULES, decide_again
from brain.governor.record import UnreadableRecordError
from brain.governor.replaying import (
    SHAPE_NO_JUDGEMENT,
    NotJudgedOnACaseError,
    judge_again,
)
from brain.governor.rules import GovernorRules
from commands.replay.subject import Answer, NotReplayedError, ReplayedRecord, Subject
from settings.variables import FIELD_OF
from store.keys import GovernorKeys

#: Begins of settings that only the Governor's judgements hold.
GOVERNOR_PREFIXES: Final = ("GOV_", "RISK_", "P31_")
#: Fields of `GovernorRules` whose settings have another name.
_RULE_OF = {
    "z_warmup_blocks_entries": "warmup_blocks_entries",
    "efficiency_min_confidence": "min_confidence",
    "efficiency_downsize_threshold": "downsize_threshold",
    "efficiency_min_factor": "min_factor",
    "efficiency_max_extra_cooldown_sec": "max_extra_cooldown_sec",
    "governor_permit_ttl_sec": "permit_ttl_sec",
    "permit_ttl_sec": "p33_permit_ttl_sec",
}
#: Of `GovernorRules`: their settings are exact decimals or whole numbers.
_FLOATS = frozenset(each.name for each in msgspec.structs.fields(GovernorRules) if each.type is float)


def as_rules(changes: Mapping[str, object]) -> dict[str, object]:
    """Return parsed settings as `GovernorRules` holds them."""
    return {name: float(str(value)) if name in _FLOATS else value for name, value in changes.items()}


def _decided(text: bytes, changes: Mapping[str, object]) -> ReplayedRecord:
    try:
        again = decide_again(text, changes)
    except NotReplayableError as error:
        reason = None if error.reason is None else error.reason.value
        raise NotReplayedError(str(error), reason) from None
    before, after = again.recorded, again.decided
    return ReplayedRecord(
        again.audit.plan_id,
        again.audit.symbol,
        Answer(before.allow, before.reason),
        Answer(after.allow, after.reason),
        again,
    )


def _judged(text: bytes, changes: Mapping[str, object]) -> ReplayedRecord:
    try:
        again = judge_again(text, as_rules(changes))
    except NotJudgedOnACaseError as error:
        raise NotReplayedError(str(error), error.reason) from None
    except UnreadableRecordError as error:
        raise NotReplayedError(str(error), None) from None
    before, after = again.recorded, again.judged
    return ReplayedRecord(
        again.record.plan_id,
        again.record.symbol,
        Answer(before.granted, before.reason),
        Answer(after.granted, after.reason),
        again,
    )


P33: Final = Subject(
    "decisions",
    "ALLOW",
    "DENY",
    "open permits, cooldowns and positions",
    ("P33_",),
    {name: field for name, field in FIELD_OF.items() if field in COMPARED_RULES},
    lambda keys, _: keys.audit,
    _decided,
)
GOVERNOR: Final = Subject(
    "judgements",
    "GRANT",
    "REFUSE",
    "grants, counts, statistics and positions",
    GOVERNOR_PREFIXES,
    {
        name: rule
        for name, field in FIELD_OF.items()
        if (rule := _RULE_OF.get(field, field)) in GovernorRules.__struct_fields__
        and rule not in SHAPE_NO_JUDGEMENT
    },
    lambda keys, shadow: GovernorKeys(keys, shadow=shadow).audit,
    _judged,
)
