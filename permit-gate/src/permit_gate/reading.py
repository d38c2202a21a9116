"""Parser of permits: granting, denying, or unusable with a reason.

The signature comes first: no member of a permit that has to be signed is read before it is verified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from permit_gate.answers import Kind, Permit, Refusal, Terms
from permit_gate.signature import SignatureMissingError, SignatureWrongError, verified
from permit_gate.sources import P33, PermitSource

_LONGEST = 65_536
_MOST_INTEGER_DIGITS = 15
_MOST_DECIMALS = 18
_LATEST_SEC = Decimal(10) ** 11


@dataclass(frozen=True)
class Unusable:
    """Permit that does not grant: the refusal, its reason in words, and further details of the permit."""

    refusal: Refusal
    because: str
    details: Mapping[str, object]


@dataclass(frozen=True)
class Yes:
    """Granting permit; `terms` for P33 only."""

    permit: Permit
    terms: Terms | None


class _UnreadableError(ValueError):
    pass


def read_permit(
    source: PermitSource,
    text: bytes,
    *,
    plan_id: str,
    symbol: str,
    key_prefix: str,
    signing_key: bytes | None,
) -> Yes | Unusable:
    """Parse a permit of any bytes. Never raises.

    `key_prefix` is the prefix of the permit's key: a signed permit names its own, so that a copy under the
    key of another account is refused.
    """
    if source.plain_yes is not None and text == source.plain_yes.encode():
        return Yes(Permit(source, {}), None)
    try:
        if source == P33 and signing_key is not None:
            text = verified(text, signing_key)
        members = _members(text)
        if source == P33 and signing_key is not None:
            _check_prefix(members, key_prefix)
        return _judge(source, members, plan_id, symbol)
    except SignatureMissingError as error:
        return Unusable(Refusal.SIGNATURE_MISSING, str(error), {})
    except SignatureWrongError as error:
        return Unusable(Refusal.SIGNATURE_WRONG, str(error), {})
    except _UnreadableError as error:
        return Unusable(Refusal.PERMIT_UNREADABLE, str(error), {})


def _check_prefix(members: Mapping[str, object], key_prefix: str) -> None:
    named = members.get("key_prefix")
    if named != key_prefix:
        signed_for = "no key prefix" if named is None else str(named)[:80]
        raise SignatureWrongError(f"the permit was signed for {signed_for}, not for {key_prefix}")


def _judge(source: PermitSource, members: dict[str, object], plan_id: str, symbol: str) -> Yes | Unusable:
    for name, expected, refusal in (
        ("plan_id", plan_id, Refusal.PERMIT_FOR_ANOTHER_PLAN),
        ("symbol", symbol, Refusal.PERMIT_FOR_ANOTHER_SYMBOL),
    ):
        named = members.get(name)
        if named is None:
            # Only P33 always names both, except in a denial of a plan with an unreadable symbol.
            if source == P33 and members.get(source.verdict) is not False:
                raise _UnreadableError(f"{name} is missing")
        elif named != expected:
            return Unusable(refusal, f"the permit names {str(named)[:80]}", {})
    verdict = members.get(source.verdict)
    if verdict is False:
        reason, details = members.get("reason"), members.get("details")
        because = reason if isinstance(reason, str) else f"{source.verdict} is false"
        return Unusable(Refusal.PERMIT_DENIED, because, details if isinstance(details, dict) else {})
    if verdict is not True:
        raise _UnreadableError(f"{source.verdict} is neither true nor false")
    return Yes(Permit(source, members), _terms(members) if source == P33 else None)


def _terms(members: Mapping[str, object]) -> Terms:
    name = members.get("kind")
    if not isinstance(name, str) or name not in tuple(Kind):
        raise _UnreadableError("kind is none of open, add, close, none")
    kind = Kind(name)
    quantity = _quantity(members, "safe_close_qty")
    if "safe_qty" in members and _quantity(members, "safe_qty") != quantity:
        raise _UnreadableError("safe_close_qty and safe_qty differ")
    if (quantity > 0) is not (kind is Kind.CLOSE):
        raise _UnreadableError(f"safe_close_qty is {quantity} of kind {kind}")
    created_at = members.get("created_at")
    if not isinstance(created_at, Decimal) or not 0 < created_at < _LATEST_SEC:
        raise _UnreadableError("created_at is no time")
    return Terms(
        kind=kind,
        safe_quantity=quantity,
        reason=_text(members, "reason") or "",
        order_side=_text(members, "order_side"),
        leg=_text(members, "leg"),
        position_side=_text(members, "side"),
        plan_quantity=_quantity(members, "plan_qty") if members.get("plan_qty") is not None else None,
        created_at_sec=created_at,
        issued_by=_text(members, "issued_by"),
    )


def _quantity(members: Mapping[str, object], name: str) -> Decimal:
    value = members.get(name)
    if not isinstance(value, Decimal):
        raise _UnreadableError(f"{name} is no number")
    exponent = value.as_tuple().exponent
    if value < 0 or value.adjusted() >= _MOST_INTEGER_DIGITS or not isinstance(exponent, int):
        raise _UnreadableError(f"{name} is out of range")
    if exponent < -_MOST_DECIMALS:
        raise _UnreadableError(f"{name} has more than {_MOST_DECIMALS} decimals")
    return value


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) else None


def _members(text: bytes) -> dict[str, object]:
    """Parse the JSON object in `text`, numbers as Decimal. A repeated member makes it unreadable."""
    if len(text) > _LONGEST:
        raise _UnreadableError(f"{len(text)} bytes")
    try:
        found = json.loads(
            text.decode(),
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_without_repetition,
        )
    except _UnreadableError:
        raise
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise _UnreadableError(f"not JSON: {str(error)[:120]}") from None
    if not isinstance(found, dict):
        raise _UnreadableError("not a JSON object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise _UnreadableError(f"{text} is no number")


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _UnreadableError("a member occurs twice")
    return members
