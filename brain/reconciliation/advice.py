"""Words for operators: why a drift is not repaired, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from brain.numbers import EXACT, ZERO, plain
from brain.positions.position import Leg
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import Drift, DriftReason
from brain.reconciliation.evidence import Explained, Finding, Gap, Growth
from brain.reconciliation.rules import ADOPTABLE_CAUSES, DriftCause
from brain.reconciliation.texts import in_words
from brain.reconciliation.weighing import causes_of

_SENDERS = {
    DriftCause.LIQUIDATION: "a liquidation",
    DriftCause.ADL: "an auto-deleveraging",
    DriftCause.SETTLEMENT: "a settlement",
    DriftCause.STOP: "a stop order",
    DriftCause.MANUAL: "an order that is not this service's",
    DriftCause.RECONCILE_CLOSE: "a RECONCILE_CLOSE",
}
_GAPS = {
    Gap.PAGES: "The next look reads the rest of the exchange's trades.",
    Gap.ORDER_NOT_SHOWN: "The next look asks for the order again.",
    Gap.ORDER_BEHIND: "The next look reads the order again.",
    Gap.TRADES_BEHIND: "The next look reads the trades again.",
    Gap.POSITION_BEHIND: "The next look compares with a newer position.",
    Gap.CONTRADICTION: "",
    Gap.MEMORY_UNREADABLE: "",
}


def why(finding: Finding) -> str:
    """Return in one sentence why a finding books nothing, or not all."""
    if not isinstance(finding, Explained):
        return finding.why
    if not finding.foreign:
        return ""
    senders = " and ".join(_SENDERS.get(cause, cause.value) for cause in causes_of(finding.foreign))
    return f"{senders} moved the position: {in_words(finding.foreign)}"


def held_by_another(sig: str) -> str:
    """Return why a symbol that another holds is not examined. `sig`: its owner, empty for unknown."""
    return f"another holds the symbol ({sig or 'no hold_sig'}): no evidence is read and nothing is booked"


def problem_of(drift: Drift) -> str:
    """Return why amounts cannot be compared; empty where they can."""
    if drift.reason is DriftReason.MISSING_LEDGER:
        return f"the ledger has no amounts: {drift.problem}"
    if drift.reason is DriftReason.MISSING_EXCHANGE:
        return "the position on the exchange was never read"
    if drift.reason is DriftReason.STALE_EXCHANGE:
        return "the position on the exchange is not known to be current"
    return ""


def advise(
    status: CaseStatus,
    drift: Drift,
    finding: Finding | None = None,
    *,
    held_by: str | None = None,
    key_prefix: str,
) -> str:
    """Return what a person can do for an open case; empty where nothing has to be done.

    `finding`: that of the latest look, None before the first. `held_by`: owner of another's hold (empty where
    the hold names none), None where no other holds the symbol.
    """
    if status in (CaseStatus.OK, CaseStatus.REPAIRED):
        return ""
    if held_by is not None:
        return _of_another(drift, held_by)
    if not drift.reason.compares:
        return _without_amounts(drift, key_prefix)
    if status is not CaseStatus.MANUAL_REQUIRED:
        gap = None if finding is None or isinstance(finding, Explained) else finding.gap
        next_look = "" if gap is None else _GAPS[gap]
        return next_look or "Nothing has to be done: the evidence is looked at again by itself."
    if isinstance(finding, Explained):
        return _foreign(drift, finding.foreign, key_prefix)
    explain = f"position-state-brain explain {drift.symbol}"
    compare = f"Compare the exchange's position and trade history with `{explain}`."
    return f"{compare} {_accept(drift, key_prefix)} {_LATE}"


_LATE = "If a result of one of our orders comes later than that, it is booked on top: correct it again then."


def _foreign(drift: Drift, foreign: Sequence[Growth], key_prefix: str) -> str:
    causes = causes_of(foreign)
    if causes == (DriftCause.RECONCILE_CLOSE,):
        return f"The close removed what the ledger has: see what corrected it. {_accept(drift, key_prefix)}"
    texts = [_accept(drift, key_prefix)]
    if set(causes) & {DriftCause.MANUAL, DriftCause.STOP}:
        texts.append("Or undo those trades at the exchange: the hold is released by itself.")
    if listed := _listed(causes):
        texts.append(f"P34_ADOPT_CAUSES with {listed} books such trades by itself, after a restart.")
    return " ".join(texts)


def _listed(causes: Iterable[DriftCause]) -> str:
    return ",".join(cause for cause in causes if cause in ADOPTABLE_CAUSES)


def _accept(drift: Drift, key_prefix: str) -> str:
    """Return the command that sets the ledger to the exchange's amounts of the drift."""
    return f"To accept the exchange's position: `{_correction(drift, key_prefix)}`."


def _correction(drift: Drift, key_prefix: str) -> str:
    total = ZERO
    for each in drift.legs:
        total = EXACT.add(total, each.exchange)
    command = f"redis-cli HSET {key_prefix}:position:ledger:{drift.symbol} last_known_amt {plain(total)}"
    amounts = {each.leg: plain(each.exchange) for each in drift.legs}
    if Leg.BOTH in amounts:
        return command
    return f"{command} long_amt {amounts.get(Leg.LONG, '0')} short_amt {amounts.get(Leg.SHORT, '0')}"


def _of_another(drift: Drift, sig: str) -> str:
    release = f"position-state-brain release {drift.symbol} --reason TEXT"
    if sig.startswith("exec:"):
        return (
            "The executor holds the symbol until it knows what became of its order. If the executor is gone "
            f"for good, find out at the exchange, then `{release} --force`."
        )
    if sig.startswith("operator:"):
        return f"Release it when the reason for the hold is over: `{release}`."
    return f"Its owner releases it. If there is none any more: `{release} --force`."


def _without_amounts(drift: Drift, key_prefix: str) -> str:
    if drift.reason is not DriftReason.MISSING_LEDGER:
        return "Look at /status: the stream, its proofs and the audits; reads may be banned or out of weight."
    if drift.problem == "missing":
        return "Nothing has to be done: the ledger is adopted from the exchange."
    return f"Compare it with the exchange, then correct it: `{_correction(drift, key_prefix)}`."
