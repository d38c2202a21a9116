"""Decisions as text: the permit that consumers read, and the audit record that can be decided again.

Numbers in a permit are JSON numbers written from exact decimals, never through a float and never with an
exponent. An audit record is read back by this program alone, and holds decimals as strings.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

import msgspec

from brain.case import Case
from brain.facts import Facts
from brain.numbers import EXACT, plain
from brain.permit import Decision, Kind, Reason
from brain.position import Leg

_NULL = msgspec.Raw(b"null")
_JSON = msgspec.json.Encoder()
#: These say that deciding did not come to an end; the case alone does not give them again.
_NOT_FROM_THE_CASE = frozenset({Reason.EVALUATION_FAILED, Reason.STATE_CONTENDED})


class _Permit(msgspec.Struct):
    """The members of `quantum:permit:p33:<plan_id>`, in their order; the contract says what they mean.

    `side` is the position's, `order_side` that of the order which the permit is for (`BUY`, `SELL`), and
    the amounts are those of `leg`.
    """

    plan_id: str
    symbol: str | None
    allow: bool
    reason: Reason
    kind: Kind | None
    side: str | None
    order_side: str | None
    leg: Leg | None
    exchange_position_amt: msgspec.Raw
    ledger_position_amt: msgspec.Raw
    ledger_amt: msgspec.Raw
    snapshot_age_sec: float | None
    created_at: float
    ts_epoch: int
    issued_by: str
    safe_close_qty: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    safe_qty: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    details: dict[str, object] | msgspec.UnsetType = msgspec.UNSET


class AuditRecord(msgspec.Struct, frozen=True):
    """One decision and all it was based on.

    `case` is None where there was none to decide on: the plan could not be read (`decision` names the
    fields), or deciding failed. `decision` is the exact text of the outcome.
    """

    plan_id: str
    symbol: str | None
    issued_by: str
    case: Case | None
    decision: msgspec.Raw


class NotReplayableError(ValueError):
    """The bytes are no audit record, or one whose outcome did not come from a case."""


def permit_json(
    decision: Decision,
    case: Case | None,
    *,
    plan_id: str,
    symbol: str | None,
    created_at_sec: float,
    issued_by: str,
    sign: Callable[[bytes], str] | None = None,
) -> bytes:
    """The permit as the contract has it; what is not known is `null`.

    `created_at_sec` is this host's wall clock (epoch seconds), `issued_by` the build tag and the instance.
    With `sign`, its answer to the exact text of the permit becomes the last member, `signature`: the text
    that was signed is what remains when `,"signature":"…"` is cut out again.
    """
    exchange_amount = ledger_amount = _NULL
    snapshot_age_sec = None
    leg, kind_told = None, False
    if case is not None:
        if case.snapshot is not None:
            snapshot_age_sec = case.snapshot.age_sec
        with localcontext(EXACT):
            facts = Facts(case)
            if case.snapshot is not None or case.hedge_mode is not None:
                leg = facts.leg
            if leg is not None:
                exchange_amount, ledger_amount = _number(facts.amount), _number(facts.ledger_amount)
        kind_told = decision.kind is not Kind.NONE or case.plan.action == "UPDATE_SL"
    permit = _Permit(
        plan_id=plan_id,
        symbol=symbol,
        allow=decision.allow,
        reason=decision.reason,
        kind=decision.kind if kind_told else None,
        side=decision.position_side,
        order_side=decision.order_side,
        leg=leg,
        exchange_position_amt=exchange_amount,
        ledger_position_amt=ledger_amount,
        ledger_amt=ledger_amount,
        snapshot_age_sec=snapshot_age_sec,
        created_at=created_at_sec,
        ts_epoch=int(created_at_sec),
        issued_by=issued_by,
    )
    if decision.allow:
        permit.safe_close_qty = permit.safe_qty = _number(decision.quantity)
    else:
        permit.details = {
            name: _number(value) if isinstance(value, Decimal) else value
            for name, value in decision.details.items()
        }
    text = _JSON.encode(permit)
    if sign is None:
        return text
    return b'%b,"signature":%b}' % (text[:-1], _JSON.encode(sign(text)))


def audit_record(
    decision: Decision, case: Case | None, *, plan_id: str, symbol: str | None, issued_by: str
) -> bytes:
    """The decision and its complete input, as JSON."""
    return _JSON.encode(AuditRecord(plan_id, symbol, issued_by, case, msgspec.Raw(_JSON.encode(decision))))


def read_audit(record: bytes) -> AuditRecord:
    """The audit record in `record`. Raises NotReplayableError."""
    try:
        return _AUDIT_RECORDS.decode(record)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotReplayableError(f"not an audit record: {error}") from None


def case_from_audit(record: bytes) -> Case:
    """The case of a decision that was made on one, to be decided again. Raises NotReplayableError."""
    audit = read_audit(record)
    reason = _OUTCOMES.decode(audit.decision).reason
    if audit.case is None or reason in _NOT_FROM_THE_CASE:
        raise NotReplayableError(f"{reason} was not decided on a case")
    return audit.case


def same_outcome(audit: AuditRecord, decision: Decision) -> bool:
    """Whether a decision is the recorded one, in every value (numbers by value: `5` is `5.0`)."""
    recorded: object = msgspec.json.decode(audit.decision)
    decided: object = msgspec.json.decode(_JSON.encode(decision))
    return recorded == decided


def _number(value: Decimal | str | None) -> msgspec.Raw:
    """A JSON number; `null` for what is not known, or only described."""
    return msgspec.Raw(plain(value).encode()) if isinstance(value, Decimal) else _NULL


class _Outcome(msgspec.Struct):
    reason: Reason


_AUDIT_RECORDS = msgspec.json.Decoder(AuditRecord)
_OUTCOMES = msgspec.json.Decoder(_Outcome)
