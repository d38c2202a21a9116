"""The answer of a Governor that is not ours to a plan, by what it and the executors have left in Redis."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import msgspec

from explanation.comparison import Theirs, by_absence, proven, unknown
from explanation.execution import error_of

#: Refusals as `permit_gate` words them; docs/contract.md, "Executor".
_DENIED = re.compile(r"permit_denied \(Governor(?:: (?P<reason>.*))?\)")
_TIMED_OUT = re.compile(r"permit_timeout \(missing: (?P<missing>[^)]*)\)")
_GRANTED = "granted"


class GovernorEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Traces of a plan.

    `block` and `permit` are those that live now, `consumed` is the permit as it was consumed. `results` has
    the fields of the plan's results; `trimmed`: those of so old a plan may be gone.
    """

    block: str | None = None
    permit: str | None = None
    consumed: str | None = None
    results: tuple[Mapping[str, str], ...] = ()
    trimmed: bool = False


def governors_answer(evidence: GovernorEvidence) -> Theirs:
    """Return the answer; what proves it comes before what is only missing.

    A block is a refusal, a permit a grant unless it says no. A result proves a grant where its executor asks
    for both permits and went on, or lacked P3.3's alone. A result that lacked the Governor's permit shows no
    answer in time, which of a Governor that is silent where it refuses is a refusal.
    """
    if evidence.block is not None:
        return proven(False, _reason(evidence.block) or "its block cannot be read", "its block")
    for text, where in ((evidence.consumed, "the permit, as consumed"), (evidence.permit, "its permit")):
        if text is not None:
            return _by_permit(text, where)
    found = [answer for each in evidence.results if (answer := _by_result(each)) is not None]
    for answer in found:
        if answer.side is not None:
            return answer
    if found:
        return found[0]
    if evidence.trimmed:
        return unknown("nothing is left of it: its results are trimmed, blocks and permits expired")
    return unknown("it has left nothing: no result names it, its block or permit expired or never was")


def _by_permit(text: str, where: str) -> Theirs:
    members = _members(text)
    granted = members.get("granted")
    if granted is True:
        return proven(True, str(members.get("reason") or _GRANTED), where)
    if granted is False:
        return proven(False, str(members.get("reason") or "denied"), where)
    return unknown(f"{where} cannot be read")


def _by_result(fields: Mapping[str, str]) -> Theirs | None:
    """Return what a result shows; None for nothing."""
    error = error_of(fields)
    denied, timed_out = _DENIED.match(error), _TIMED_OUT.match(error)
    if denied is not None:
        return proven(False, denied["reason"] or "denied", "the executor's result")
    if timed_out is not None:
        missing = [each.strip() for each in timed_out["missing"].split(",")]
        if "Governor" in missing:
            return by_absence(False, "no permit in time", "the executor's result")
        return proven(True, _GRANTED, "a result that lacked only P3.3's permit")
    if error.startswith(("permit_", "missing_or_denied", "no_permit")):
        return unknown("its result does not say which permit was missing")
    if "steps_results" in fields:
        # The Apply Layer tries no step before it has consumed both permits.
        tried = _is_executed(fields) or error.startswith("binance_error")
        return proven(True, _GRANTED, "the Apply Layer's result") if tried else None
    if _is_executed(fields):
        return unknown("executed by an executor that may not have asked for its permit")
    return None


def _is_executed(fields: Mapping[str, str]) -> bool:
    return fields.get("executed", "").lower() in ("true", "1")


def _reason(block: str) -> str:
    return str(_members(block).get("reason") or "")


def _members(text: str) -> Mapping[str, object]:
    try:
        members = json.loads(text)
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}
