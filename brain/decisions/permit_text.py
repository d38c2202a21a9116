"""JSON of decisions: the permit for consumers, and the audit record for replay.

Numbers in a permit are JSON numbers written from exact decimals, never through a float and never with an
exponent. Only this program reads audit records; they have decimals as strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

import msgspec

from brain.decisions.case import Case
from brain.decisions.facts import Facts
from brain.identifiers import PlanId, Symbol
from brain.json_text import read_json
from brain.numbers import EXACT, plain
from brain.plans.permit import Decision, Kind, Reason
from brain.positions.position import Leg, PositionSide

_NO_KIND = Kind.NONE
_NULL = msgspec.Raw(b"null")
_JSON = msgspec.json.Encoder()
#: Reasons that do not follow from a case: deciding did not come to an end.
_NOT_FROM_THE_CASE = frozenset({Reason.EVALUATION_FAILED, Reason.STATE_CONTENDED})


class _Permit(msgspec.Struct):
    """Members of `quantum:permit:p33:<plan_id>`, in their order (docs/contract.md, Permits).

    `side` is the position's, `order_side` (`BUY`, `SELL`) that of the permitted order, and the amounts are
    those of `leg`. `plan_qty`, on an allow, is the plan's quantity at the decision, which an open or add may
    use. `key_prefix`, where permits are signed, is the account's: a signature is invalid under the keys of
    another account.
    """

    plan_id: PlanId
    symbol: Symbol | None
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
    plan_qty: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    details: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    key_prefix: str | msgspec.UnsetType = msgspec.UNSET


class AuditRecord(msgspec.Struct, frozen=True):
    """Audit record: a decision with all its inputs.

    Records of earlier releases lack what was added since: a new field here, in `Case` or in a struct inside
    either needs a default, or they become unreadable (tests/commands/test_recorded_audits.py).

    `case` is None where the plan could not be read (`decision` names the fields), or deciding failed.
    `decision` is the exact text of the outcome, `fields` the plan as published (escaped and truncated, see
    `brain/text_fields.py`), `permit` the permit as issued, without a signature.
    """

    plan_id: PlanId
    symbol: Symbol | None
    issued_by: str
    case: Case | None
    decision: msgspec.Raw
    fields: dict[str, str] = {}
    permit: msgspec.Raw = _NULL


class NotReplayableError(ValueError):
    """Bytes are no audit record (`reason` None), or one whose outcome did not come from a case."""

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class RecordedDecision(msgspec.Struct, frozen=True):
    """Decision read from an audit record: like `Decision`, but decimals in `details` stay text.

    A new field needs a default, as in `AuditRecord`.
    """

    allow: bool
    reason: Reason
    kind: Kind
    leg: Leg
    order_side: str | None
    quantity: Decimal
    reserve: Decimal
    position_side: PositionSide | None
    details: dict[str, float | int | str | bool | None]
    warnings: tuple[str, ...] = ()


def permit_json(
    decision: Decision,
    case: Case | None,
    *,
    plan_id: PlanId,
    symbol: Symbol | None,
    created_at_sec: float,
    issued_by: str,
    key_prefix: str | None = None,
    facts: Facts | None = None,
) -> bytes:
    """Return the permit's JSON of docs/contract.md; unknown values are `null`.

    `created_at_sec` is Redis's clock (epoch seconds), `issued_by` the build tag and the instance.
    `key_prefix` is given for a permit that will be signed. `facts` are those of `case`, if derived already.
    """
    exchange_amount = ledger_amount = _NULL
    snapshot_age_sec = None
    leg, kind_known = None, False
    if case is not None:
        if case.snapshot is not None:
            snapshot_age_sec = case.snapshot.age_sec
        with localcontext(EXACT):
            facts = facts or Facts(case)
            if case.snapshot is not None or case.hedge_mode is not None:
                leg = facts.leg
            if leg is not None:
                in_ledger = facts.ledger_amount
                exchange_amount = ledger_amount = _number(facts.amount)
                if in_ledger != facts.amount:
                    ledger_amount = _number(in_ledger)
        kind_known = decision.kind is not _NO_KIND or case.plan.action == "UPDATE_SL"
    permit = _Permit(
        plan_id=plan_id,
        symbol=symbol,
        allow=decision.allow,
        reason=decision.reason,
        kind=decision.kind if kind_known else None,
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
    if key_prefix is not None:
        permit.key_prefix = key_prefix
    if decision.allow:
        permit.safe_close_qty = permit.safe_qty = _number(decision.quantity)
        permit.plan_qty = _NULL if case is None else _number(case.plan.quantity)
    else:
        permit.details = {
            name: _number(value) if isinstance(value, Decimal) else value
            for name, value in decision.details.items()
        }
    return _JSON.encode(permit)


def with_signature(permit: bytes, signature: str) -> bytes:
    """Append the signature as last member; the signed text is the permit without it."""
    return b'%b,"signature":%b}' % (permit[:-1], _JSON.encode(signature))


def audit_record(
    decision: Decision,
    case: Case | None,
    *,
    plan_id: PlanId,
    symbol: Symbol | None,
    issued_by: str,
    fields: Mapping[str, str],
    permit: bytes,
) -> bytes:
    """Return decision, complete input and permit as JSON. `permit` is the text without a signature."""
    outcome = msgspec.Raw(_JSON.encode(decision))
    return _JSON.encode(
        AuditRecord(plan_id, symbol, issued_by, case, outcome, dict(fields), msgspec.Raw(permit))
    )


def read_audit(record: bytes) -> AuditRecord:
    """Parse an audit record. Raises NotReplayableError."""
    try:
        return read_json(_AUDIT_RECORDS, record)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotReplayableError(f"not an audit record: {error}") from None


def recorded_decision(audit: AuditRecord) -> RecordedDecision:
    """Parse the decision of an audit record. Raises NotReplayableError."""
    try:
        return read_json(_DECISIONS, audit.decision)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotReplayableError(f"not a decision: {error}") from None


def case_of(audit: AuditRecord, reason: Reason) -> Case:
    """Return the case of a record with outcome `reason`. Raises NotReplayableError where it has none."""
    if audit.case is None or reason in _NOT_FROM_THE_CASE:
        raise NotReplayableError(f"{reason} was not decided on a case", reason)
    return audit.case


def same_outcome(audit: AuditRecord, decision: Decision) -> bool:
    """Return True if a decision equals the recorded one in every value (`5` equals `5.0`)."""
    recorded: object = msgspec.json.decode(audit.decision)
    decided: object = msgspec.json.decode(_JSON.encode(decision))
    return recorded == decided


def _number(value: Decimal | str | None) -> msgspec.Raw:
    """Return a JSON number; `null` for a value that is unknown, or only described."""
    return msgspec.Raw(plain(value).encode()) if isinstance(value, Decimal) else _NULL


_AUDIT_RECORDS = msgspec.json.Decoder(AuditRecord)
_DECISIONS = msgspec.json.Decoder(RecordedDecision)
