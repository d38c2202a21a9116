"""Grants: quantity and notional that the Governor has granted and that are not settled in the book yet."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Context, Decimal

import msgspec

from brain.governor.case import GovernorCase
from brain.governor.facts import is_entry
from brain.governor.judgement import Judgement
from brain.identifiers import PlanId, Symbol, plan_id_text
from brain.json_text import lenient_scalar, read_json
from brain.numbers import ZERO, NotANumberError, parse_decimal, plain
from brain.plans.permit import Kind
from brain.positions.position import Leg

_JSON = msgspec.json.Encoder()
_NO_ORDER = Kind.NONE
_NULL = msgspec.Raw(b"null")
_LEAST = Decimal("0.00000001")
_ROUNDING = Context(prec=80)


class UnreadableGrantError(ValueError):
    """An entry of `governor:reserved` that this service did not write. Ignoring it could exceed a limit."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Grant of one plan. Quantities are in contracts, notionals in USDT, times epoch milliseconds of Redis.

    `mark` is the mark price of the grant, None where it was not known. `filled`: notional that a result has
    named of an order that is not final yet. `filled_ms`: its order is settled, and the grant stays until a
    snapshot shows the fill. `executed_before_sec`: the symbol's last settled execution at the grant.
    """

    plan_id: PlanId
    symbol: Symbol
    kind: Kind
    leg: Leg
    quantity: Decimal
    notional: Decimal
    granted_ms: int
    ends_ms: int
    mark: Decimal | None = None
    filled: Decimal = ZERO
    filled_ms: int | None = None
    executed_before_sec: Decimal | None = None

    def is_live(self, now_ms: int) -> bool:
        """Return True while it counts."""
        return self.filled_ms is not None or now_ms < self.ends_ms

    @property
    def enters(self) -> bool:
        """True for opens and adds."""
        return is_entry(self.kind)

    @property
    def granted_sec(self) -> Decimal:
        """The time of the grant in seconds, as `governor:last_exec` has it."""
        return epoch_sec(self.granted_ms)


class _Stored(msgspec.Struct):
    symbol: str
    kind: Kind
    leg: Leg
    qty: msgspec.Raw
    notional: msgspec.Raw
    granted_ms: int
    ends_ms: int
    mark: msgspec.Raw = _NULL
    filled: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    filled_ms: int | msgspec.UnsetType = msgspec.UNSET
    executed_before: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_STORED = msgspec.json.Decoder(_Stored)


def grant_of(
    case: GovernorCase,
    judgement: Judgement,
    *,
    leg: Leg | None,
    granted_ms: int,
    life_ms: int,
    executed_before_sec: Decimal | None = None,
) -> Grant | None:
    """Return the grant of a judgement; None where nothing is granted, or nothing is ordered.

    `leg` is None while the plan's is not known. For `executed_before_sec` see `executed_before`.
    """
    if not judgement.granted or judgement.kind is _NO_ORDER:
        return None
    return Grant(
        plan_id=case.plan.plan_id,
        symbol=case.plan.symbol,
        kind=judgement.kind,
        leg=leg or Leg.BOTH,
        quantity=judgement.quantity,
        notional=rounded_up(judgement.notional or ZERO),
        granted_ms=granted_ms,
        ends_ms=granted_ms + life_ms,
        mark=case.mark_price,
        executed_before_sec=executed_before_sec,
    )


def grant_text(grant: Grant) -> str:
    """Return the JSON of `governor:reserved`. Its numbers are exact decimals."""
    before = grant.executed_before_sec
    stored = _Stored(
        symbol=grant.symbol,
        kind=grant.kind,
        leg=grant.leg,
        qty=_number(grant.quantity),
        notional=_number(grant.notional),
        granted_ms=grant.granted_ms,
        ends_ms=grant.ends_ms,
        mark=_number(grant.mark),
        filled=_number(grant.filled) if grant.filled else msgspec.UNSET,
        filled_ms=msgspec.UNSET if grant.filled_ms is None else grant.filled_ms,
        executed_before=msgspec.UNSET if before is None else _number(before),
    )
    return _JSON.encode(stored).decode()


def read_grant(plan_id: PlanId, text: bytes) -> Grant:
    """Read an entry of `governor:reserved`. Raises UnreadableGrantError."""
    if plan_id_text(plan_id.encode(errors="surrogateescape")) is None:
        raise UnreadableGrantError(f"{plan_id!a}: not the id of a plan")
    try:
        stored = read_json(_STORED, text)
        quantity, notional = _decimal(stored.qty), _decimal(stored.notional)
        if quantity is None or notional is None:
            raise UnreadableGrantError(f"{plan_id}: no quantity or notional")
        return Grant(
            plan_id=plan_id,
            symbol=Symbol(stored.symbol),
            kind=stored.kind,
            leg=stored.leg,
            quantity=quantity,
            notional=notional,
            granted_ms=stored.granted_ms,
            ends_ms=stored.ends_ms,
            mark=_decimal(stored.mark),
            filled=ZERO if isinstance(stored.filled, msgspec.UnsetType) else _decimal(stored.filled) or ZERO,
            filled_ms=None if isinstance(stored.filled_ms, msgspec.UnsetType) else stored.filled_ms,
            executed_before_sec=None
            if isinstance(stored.executed_before, msgspec.UnsetType)
            else _decimal(stored.executed_before),
        )
    except (msgspec.MsgspecError, NotANumberError) as error:
        raise UnreadableGrantError(f"{plan_id}: {error}") from None


def epoch_sec(at_ms: int) -> Decimal:
    """Return a time in seconds, exactly."""
    return Decimal(at_ms).scaleb(-3)


def utc_day(at_ms: int) -> str:
    """Return the UTC day of a time as YYYY-MM-DD."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def _number(value: Decimal | None) -> msgspec.Raw:
    return _NULL if value is None else msgspec.Raw(plain(value).encode())


def _decimal(raw: msgspec.Raw) -> Decimal | None:
    text = lenient_scalar(raw)
    return None if text is None else parse_decimal(text)


def rounded_up(notional: Decimal) -> Decimal:
    """Return a notional with at most 8 decimals, rounded up: no sum of grants is too small."""
    return notional.quantize(_LEAST, ROUND_CEILING, _ROUNDING)
