"""Normalises the reason of a result to a short name, and finds the gate that it belongs to.

A name is `gate_reason[:detail]`, 1 to 64 characters of `[a-z0-9_:.-]`, whatever the text is.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from brain.execution import reasons as executing
from brain.governor.reasons import GovernorReason
from brain.ledger.refusal_words import Proof, proof_of
from brain.plans.permit import Reason

#: Longest name (characters).
LONGEST_NAME: Final = 64
#: Name of a result without a reason.
NO_REASON: Final = "none"

EXCHANGE_ERROR: Final = "binance_error"
_PERMIT_DENIED: Final = "permit_denied"
_LEVERAGE_REFUSED: Final = "leverage_refused"

#: The gate's words: `permit_timeout (missing: Governor, P3.3)`, `permit_denied (P3.3: no_position)`.
#: Source: `permit_gate.answers.Refused.__str__`.
_GATE_WORDING = re.compile(
    r"(?P<refusal>[a-z_]+) \((?:(?P<missing>missing: .+)|(?P<by>[^:]+)(?:: (?P<why>.*))?)\)"
)
#: An error code of Binance is -1000 to -9999. Source: Binance USDⓈ-M Futures, "Error Codes".
_CODE = re.compile(
    r"^\W*(?P<first>-[1-9]\d{3})(?![\d.])|(?:code|apierror|binance(?:_error)?)\W{1,4}(?P<named>-[1-9]\d{3})(?!\d)"
)
_HTTP_STATUS = re.compile(
    r"(?:binance(?:_error)?|https?(?:[ _]?(?:error|status))?)\W{1,3}(?P<status>[45]\d\d)(?!\d)"
)
_UNUSABLE = re.compile(r"[^a-z0-9_:.-]+")
_REPEATED = re.compile(r"_{2,}")
_SPACE_AT_COLON = re.compile(r"_*:[_:]*")
_EDGES = "_:."


class Gate(StrEnum):
    """The part of the chain that stopped a plan."""

    GOVERNOR = "governor"
    P33 = "p33"
    EXECUTOR = "executor"
    EXCHANGE = "exchange"
    PLAN = "plan"


class NamedReason(msgspec.Struct, frozen=True):
    """A reason by its name; `gate` is None where the name belongs to none that is known."""

    name: str
    gate: Gate | None


#: Reasons whose detail is a symbol: the name goes without it.
_OF_A_SYMBOL = frozenset({"symbol_not_in_allowlist", "symbol_not_in_universe", "symbol_not_on_exchange"})
_OF_PLANS = frozenset(
    {
        executing.PLAN_EXPIRED,
        executing.MALFORMED_PLAN,
        executing.NOTHING_TO_EXECUTE,
        executing.DUPLICATE_PLAN,
        Reason.PLAN_ALREADY_SETTLED.value,
        "plan_id_unusable",
    }
)
_OF_EXECUTORS = frozenset(
    {
        "source_not_allowed",
        "symbol_not_in_allowlist",
        "not_sent",
        executing.EVALUATION_FAILED,
        executing.RECOVERING,
        executing.KILL_SWITCH_ACTIVE,
        executing.TRADING_HALTED,
        executing.RECONCILE_HOLD_ACTIVE,
        executing.BELOW_MIN_QTY,
        executing.MIN_NOTIONAL_CHECK_FAILED,
        executing.POSITION_TOO_LARGE,
        executing.ORDER_RATE_LIMIT,
        "redis_error",
        "signature_missing",
        "signature_wrong",
    }
)
_OF_EXCHANGES = frozenset({EXCHANGE_ERROR, _LEVERAGE_REFUSED, executing.ORDER_NOT_FOUND})
_OF_P33 = frozenset(reason.value for reason in Reason)
_OF_GOVERNORS = frozenset(reason.value for reason in GovernorReason)
#: Beginnings of the reasons of a consumer that had no permit, or none that it could use.
_OF_PERMITS = ("permit_", "missing_or_denied", "no_permit", "governor_", "p33_", "p32_")
_SAYS_GOVERNOR = re.compile(r"governor|p3\.?2(?!\d)")
_SAYS_P33 = re.compile(r"p3\.?3(?!\d)")


def name_reason(text: str | None, symbol: str | None) -> NamedReason:
    """Return the name of a reason as a result gives it (None: none), and its gate. Never raises.

    `symbol` is the result's: as a detail it is cut off.
    """
    if text is None:
        return NamedReason(NO_REASON, None)
    name = _name(text.strip(), symbol) or NO_REASON
    return NamedReason(name, _gate_of(name, text))


def is_unknown_outcome(text: str) -> bool:
    """Return True for a text that says that an order was sent and may have been filled."""
    return proof_of([text]) is Proof.UNKNOWN


def _name(text: str, symbol: str | None) -> str:
    wording = _GATE_WORDING.fullmatch(text)
    if wording is not None:
        return _of_wording(wording)
    lowered = text.lower()
    head, _, detail = lowered.partition(":")
    if head.strip() in _OF_A_SYMBOL:
        return head.strip()
    keeps_code = head.strip() in _OF_EXECUTORS or head.strip() == _LEVERAGE_REFUSED
    if not keeps_code and (code := _code_in(lowered)) is not None:
        return f"{EXCHANGE_ERROR}:{code}"
    if symbol is not None and detail.strip() == symbol.lower():
        return _cleaned(head)
    return _cleaned(lowered)


def _of_wording(wording: re.Match[str]) -> str:
    """Return `permit_timeout:governor` or `p33_permit_denied:no_position` for the words of the gate."""
    refusal, missing, by, why = wording["refusal"], wording["missing"], wording["by"], wording["why"]
    if missing is not None:
        services = missing.removeprefix("missing: ").split(", ")
        return _cleaned(f"{refusal}:{'_'.join(map(_service, services))}")
    if refusal == _PERMIT_DENIED:
        return _cleaned(f"{_service(by)}_{refusal}:{why or ''}".lower())
    return _cleaned(f"{refusal}:{_service(by)}")


def _service(name: str) -> str:
    return name.lower().replace(".", "")


def _code_in(lowered: str) -> str | None:
    code = _CODE.search(lowered)
    if code is not None:
        return code["first"] or code["named"]
    status = _HTTP_STATUS.search(lowered)
    return None if status is None else status["status"]


def _cleaned(lowered: str) -> str:
    """Return the text with `_` for all that no name has, and cut to the longest name."""
    text = _UNUSABLE.sub("_", lowered.lower())
    text = _SPACE_AT_COLON.sub(":", _REPEATED.sub("_", text)).strip(_EDGES)
    return text[:LONGEST_NAME].rstrip(_EDGES)


def _gate_of(name: str, text: str) -> Gate | None:
    head = name.partition(":")[0]
    if head in _OF_EXCHANGES:
        return Gate.EXCHANGE
    if head in _OF_PLANS:
        return Gate.PLAN
    if head in _OF_EXECUTORS:
        return Gate.EXECUTOR
    if name.startswith(_OF_PERMITS) and head not in _OF_GOVERNORS:
        if _SAYS_GOVERNOR.search(name):
            return Gate.GOVERNOR
        return Gate.P33 if _SAYS_P33.search(name) else Gate.EXECUTOR
    if head in _OF_P33:
        return Gate.P33
    if head in _OF_GOVERNORS:
        return Gate.GOVERNOR
    return Gate.EXCHANGE if is_unknown_outcome(text) else None
