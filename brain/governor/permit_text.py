"""JSON of the Governor's answers: the permit of a grant, that of a denial, and the block of a refusal.

Numbers are JSON numbers written from exact decimals. The `eff_` members, `downsize_factor` and
`extra_cooldown_sec` are text, as their readers expect.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from brain.governor.case import GovernorCase
from brain.governor.efficiency import MISSING, efficiency_hint
from brain.governor.facts import is_entry
from brain.governor.judgement import Judgement
from brain.identifiers import PlanId, Symbol
from brain.numbers import ZERO, plain
from brain.plans.permit import Details, Kind

_NULL = msgspec.Raw(b"null")
_JSON = msgspec.json.Encoder()


class _Permit(msgspec.Struct):
    """Members of `permit:<plan_id>` in their order (docs/contract.md, "Governor").

    An unknown quantity or notional (of a close without a position) is 0: readers take both for numbers.
    `key_prefix`, where permits are signed, is the account's, as in P3.3's permits.
    """

    granted: bool
    symbol: Symbol | None
    computed_qty: msgspec.Raw
    computed_notional: msgspec.Raw
    created_at: float
    eff_score: str
    eff_confidence: str
    eff_stale: str
    eff_factor: str
    eff_action: str
    eff_reason: str
    downsize_factor: str
    extra_cooldown_sec: str
    plan_id: PlanId
    kind: Kind | None
    eval_type: str
    reason: str
    qty_scale: float
    kill_score: float | None
    kill_z: float | None
    z_cutoff: float | None
    trading_state: str | None
    issued_by: str
    decision: Literal["EXECUTE"] = "EXECUTE"
    consumed: Literal[False] = False
    exit_block_expired: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    details: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    key_prefix: str | msgspec.UnsetType = msgspec.UNSET


class _Block(msgspec.Struct):
    """Members of `governor:block:<plan_id>`; `kind` and `eval_type` are null for a plan without a case."""

    reason: str
    timestamp: float
    symbol: Symbol | None
    plan_id: PlanId
    kind: Kind | None
    eval_type: str | None
    details: dict[str, object]
    issued_by: str


def permit_json(
    judgement: Judgement,
    case: GovernorCase | None,
    *,
    plan_id: PlanId,
    symbol: Symbol | None,
    created_at_sec: float,
    issued_by: str,
    key_prefix: str | None = None,
) -> bytes:
    """Return the permit of a grant, or that of a denial, which is written only where every reader knows it.

    `created_at_sec` is Redis's clock (epoch seconds), `issued_by` the build tag and the instance.
    `key_prefix` is given for a permit that will be signed.
    """
    efficiency = hint = None
    if case is not None and is_entry(judgement.kind):
        efficiency = case.neighbours.efficiency
        hint = efficiency_hint(efficiency, case.rules)
    hint = hint or MISSING
    factor = str(hint.factor)
    permit = _Permit(
        granted=judgement.granted,
        symbol=symbol,
        computed_qty=_number(judgement.quantity),
        computed_notional=_number(judgement.notional or ZERO),
        created_at=created_at_sec,
        eff_score="" if efficiency is None else str(efficiency.score),
        eff_confidence="" if efficiency is None else str(efficiency.confidence),
        eff_stale="1" if hint.stale else "0",
        eff_factor=factor,
        eff_action=hint.action,
        eff_reason=hint.reason,
        downsize_factor=factor,
        extra_cooldown_sec=str(hint.extra_cooldown_sec),
        plan_id=plan_id,
        kind=None if case is None else judgement.kind,
        eval_type=judgement.eval_type,
        reason=judgement.reason,
        qty_scale=judgement.qty_scale,
        kill_score=None if case is None else case.kill_score,
        kill_z=judgement.z,
        z_cutoff=judgement.cutoff,
        trading_state=None if case is None else case.trading_state,
        issued_by=issued_by,
    )
    if judgement.exit_block_expired:
        permit.exit_block_expired = True
    if not judgement.granted:
        permit.details = _details(judgement.details)
    if key_prefix is not None:
        permit.key_prefix = key_prefix
    return _JSON.encode(permit)


def block_json(
    judgement: Judgement,
    case: GovernorCase | None,
    *,
    plan_id: PlanId,
    symbol: Symbol | None,
    created_at_sec: float,
    issued_by: str,
) -> bytes:
    """Return the block of a refusal."""
    return _JSON.encode(
        _Block(
            reason=judgement.reason,
            timestamp=created_at_sec,
            symbol=symbol,
            plan_id=plan_id,
            kind=None if case is None else judgement.kind,
            eval_type=None if case is None else judgement.eval_type,
            details=_details(judgement.details),
            issued_by=issued_by,
        )
    )


def _details(details: Details) -> dict[str, object]:
    return {name: _number(value) if isinstance(value, Decimal) else value for name, value in details.items()}


def _number(value: Decimal) -> msgspec.Raw:
    return msgspec.Raw(plain(value).encode())
