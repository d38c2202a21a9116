"""Reads what became of a plan out of its result: decision, reason and gate, in any of the three dialects.

Any bytes give an outcome; nothing of it is longer than a fixed length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from brain.identifiers import LONGEST_FIELD, Symbol, given
from brain.intelligence.reasons import NO_REASON, Gate, name_reason
from brain.json_text import lenient_scalar, read_json
from brain.ledger.result import symbol_of

#: Only so much of a text is read (bytes).
_LONGEST_READ: Final = 4_096
#: Longest raw text of a decision that was not understood (characters).
_LONGEST_RAW: Final = 32
_EXECUTED: Final = {"true": True, "1": True, "false": False, "0": False}
_NOT_PRINTED = re.compile(r"[^!-~]+")


class Outcome(StrEnum):
    """Decision on a plan, as its result tells."""

    EXECUTE = "EXECUTE"
    BLOCKED = "BLOCKED"
    SKIP = "SKIP"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


#: Words of `decision`. A `RECONCILE_CLOSE` asks for an order like an `EXECUTE`.
_WORDS: Final = {
    "EXECUTE": Outcome.EXECUTE,
    "EXECUTED": Outcome.EXECUTE,
    "EXEC": Outcome.EXECUTE,
    "RECONCILE_CLOSE": Outcome.EXECUTE,
    "SKIP": Outcome.SKIP,
    "SKIPPED": Outcome.SKIP,
    "BLOCKED": Outcome.BLOCKED,
    "BLOCK": Outcome.BLOCKED,
    "ERROR": Outcome.ERROR,
    "FAILED": Outcome.ERROR,
    "FAIL": Outcome.ERROR,
}


class ResultOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of one result. `raw`: of UNKNOWN alone, the text that was not understood.

    `gate` is None where nothing stopped the plan. `symbol` is None where the result names none.
    """

    outcome: Outcome
    raw: str = ""
    reason: str = NO_REASON
    gate: Gate | None = None
    symbol: Symbol | None = None

    @property
    def decision(self) -> str:
        """Return the outcome as it is counted: `UNKNOWN:<raw>` where it was not understood."""
        return f"{self.outcome}:{self.raw}" if self.outcome is Outcome.UNKNOWN else self.outcome.value


#: A result that was trimmed from the stream before it was counted: nothing of it is left to read.
TRIMMED: Final = ResultOutcome(outcome=Outcome.UNKNOWN, raw="trimmed", reason="trimmed")


class _Details(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw()


_DETAILS = msgspec.json.Decoder(_Details)
_CODES = msgspec.json.Decoder(list[msgspec.Raw])


def read_outcome(fields: Mapping[bytes, bytes]) -> ResultOutcome:
    """Read an entry of `apply.result`. Never raises."""
    symbol = symbol_of(fields)
    reason = name_reason(_reason(fields), symbol)
    told = _text(fields, b"decision")
    executed_text = _text(fields, b"executed")
    executed = _EXECUTED.get((executed_text or "").lower())
    raw = ""
    if told is not None:
        outcome = _WORDS.get(told.upper(), Outcome.UNKNOWN)
        if outcome is Outcome.EXECUTE and executed is False:
            outcome = Outcome.BLOCKED
        raw = told
    elif executed is None:
        outcome, raw = Outcome.UNKNOWN, executed_text or NO_REASON
    elif executed:
        outcome = Outcome.EXECUTE
    elif reason.name == NO_REASON:
        outcome = Outcome.SKIP
    else:
        outcome = Outcome.ERROR if reason.gate is Gate.EXCHANGE else Outcome.BLOCKED
    gate = None
    if outcome is not Outcome.EXECUTE:
        asked = told is None or _WORDS.get(told.upper()) is Outcome.EXECUTE
        gate = reason.gate or (Gate.EXECUTOR if asked and reason.name != NO_REASON else Gate.PLAN)
    return ResultOutcome(
        outcome=outcome,
        raw=_printed(raw) if outcome is Outcome.UNKNOWN else "",
        reason=reason.name,
        gate=gate,
        symbol=symbol,
    )


def _reason(fields: Mapping[bytes, bytes]) -> str | None:
    """Return `error`, else `details.error`, else `reason`, else the first of `reason_codes`."""
    for text in (_text(fields, b"error"), _details_error(fields), _text(fields, b"reason")):
        if text is not None:
            return text
    return _first_code(fields)


def _details_error(fields: Mapping[bytes, bytes]) -> str | None:
    details = fields.get(b"details", b"")
    if not details or len(details) > LONGEST_FIELD:
        return None
    try:
        error = read_json(_DETAILS, details).error
    except msgspec.DecodeError:
        return None
    return _member(error)


def _first_code(fields: Mapping[bytes, bytes]) -> str | None:
    """Return the first of `reason_codes`: a JSON list, or words with commas between."""
    text = _text(fields, b"reason_codes")
    if text is None:
        return None
    try:
        codes = [_member(code) for code in read_json(_CODES, text)]
    except msgspec.DecodeError:
        codes = [given(code) for code in text.split(",")]
    return next((code for code in codes if code is not None), None)


def _member(raw: msgspec.Raw) -> str | None:
    """Return a member of JSON as text; an object, such as Binance's own error, as it is written."""
    encoded = bytes(raw)
    if encoded[:1] in (b"{", b"["):
        return encoded[:_LONGEST_READ].decode(errors="replace")
    text = lenient_scalar(raw)
    return None if text is None else text[:_LONGEST_READ]


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    """Return the beginning of a field, invalid bytes replaced; None where it is missing or says so."""
    return given(fields.get(name, b"")[:_LONGEST_READ].decode(errors="replace"))


def _printed(text: str) -> str:
    return _NOT_PRINTED.sub("_", text)[:_LONGEST_RAW]
