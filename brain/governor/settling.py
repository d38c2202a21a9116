"""Settling: the effect of a result, or of the end of its time, on a grant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext

import msgspec

from brain.governor.grants import Grant, epoch_sec, rounded_up, utc_day
from brain.identifiers import UnreadableFieldError, field_text
from brain.json_text import lenient_scalar, read_json
from brain.ledger.result import ExecutedResult, RefusedResult
from brain.numbers import EXACT, ZERO, NotANumberError, parse_decimal_down, plain


class GrantEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a result, or of the end of its time, on a grant.

    `becomes` is None where the grant ends. `uncount`: it leaves the window. `opened` and `reduced` are added
    to the sums of `date`. `last_exec`: None leaves that key, an empty text deletes it. `only_if_unconsumed`:
    the executor had no permit, so another one may hold it; the grant ends only together with the permit.
    """

    becomes: Grant | None
    date: str
    uncount: bool = False
    opened: Decimal = ZERO
    reduced: Decimal = ZERO
    last_exec: str | None = None
    only_if_unconsumed: bool = False


def average_price(fields: Mapping[bytes, bytes]) -> Decimal | None:
    """Return `avg_price` of an entry of `apply.result`, flat or in `details`; None while not known."""
    try:
        text = field_text(fields, b"avg_price")
        if text is None:
            details = field_text(fields, b"details")
            text = None if details is None else lenient_scalar(read_json(_DETAILS, details).avg_price)
        price = None if text is None else parse_decimal_down(text)
    except (UnreadableFieldError, NotANumberError, msgspec.DecodeError):
        return None
    return price if price is not None and price > ZERO else None


class _Details(msgspec.Struct):
    avg_price: msgspec.Raw = msgspec.Raw()


_DETAILS = msgspec.json.Decoder(_Details)


def settle(
    grant: Grant,
    result: ExecutedResult | RefusedResult,
    *,
    price: Decimal | None,
    now_ms: int,
    life_ms: int,
    last_exec_sec: Decimal | None,
    others: Iterable[Grant],
) -> GrantEffect | None:
    """Return the effect of a result of the grant's plan; None where it has none.

    `price` is the result's average. `life_ms`: a grant with no word for this long ends. `last_exec_sec`: the
    symbol's `governor:last_exec`; `others`: its other grants. A result of unknown outcome has no effect, and
    neither has one that repeats what is settled.
    """
    if grant.filled_ms is not None:
        return None
    with localcontext(EXACT):
        if isinstance(result, ExecutedResult):
            filled_qty = sum((order.cumulative for order in result.orders), ZERO)
            filled = rounded_up(filled_qty * (price or grant.mark or ZERO))
            if filled_qty and not filled:
                filled = grant.notional  # no price anywhere: what was granted
            if all(order.final for order in result.orders):
                return _final(grant, filled_qty, filled, now_ms, last_exec_sec, others)
            stays = msgspec.structs.replace(grant, filled=filled, ends_ms=now_ms + life_ms)
            return GrantEffect(becomes=stays, date=utc_day(grant.granted_ms))
        if result.unknown is not None:
            return None
        if grant.filled:
            return _final(grant, grant.quantity, grant.filled, now_ms, last_exec_sec, others)
        effect = _final(grant, ZERO, ZERO, now_ms, last_exec_sec, others)
        return msgspec.structs.replace(effect, only_if_unconsumed=result.had_no_permit)


def expire(
    grant: Grant, *, now_ms: int, last_exec_sec: Decimal | None, others: Iterable[Grant]
) -> GrantEffect | None:
    """Return the effect of the end of a grant's time; None while it has not come, or where it is settled."""
    if grant.filled_ms is not None or now_ms < grant.ends_ms:
        return None
    with localcontext(EXACT):
        quantity = grant.quantity if grant.filled else ZERO
        return _final(grant, quantity, grant.filled, now_ms, last_exec_sec, others)


def executed_before(last_exec_sec: Decimal | None, grants: Iterable[Grant]) -> Decimal | None:
    """Return the last settled execution, where `last_exec_sec` may be one of the symbol's live grants."""
    for grant in grants:
        if grant.enters and grant.filled_ms is None and grant.granted_sec == last_exec_sec:
            return grant.executed_before_sec
    return last_exec_sec


def _final(
    grant: Grant,
    quantity: Decimal,
    filled: Decimal,
    now_ms: int,
    last_exec_sec: Decimal | None,
    others: Iterable[Grant],
) -> GrantEffect:
    """Return the effect of a final fill of this quantity and notional."""
    enters, change = grant.enters, filled - grant.notional
    becomes = None
    if enters and filled:
        becomes = msgspec.structs.replace(
            grant, quantity=quantity, notional=filled, filled=ZERO, filled_ms=now_ms
        )
    if filled:
        last_exec: str | None = plain(epoch_sec(now_ms))
    else:
        last_exec = _given_back(grant, last_exec_sec, others) if enters else None
    return GrantEffect(
        becomes=becomes,
        date=utc_day(grant.granted_ms),
        uncount=enters and not filled,
        opened=change if enters else ZERO,
        reduced=ZERO if enters else change,
        last_exec=last_exec,
    )


def _given_back(grant: Grant, last_exec_sec: Decimal | None, others: Iterable[Grant]) -> str | None:
    """Return the text of `last_exec` without a grant that was not filled; None where it is another's."""
    if last_exec_sec != grant.granted_sec:
        return None
    times = [
        other.granted_sec
        for other in others
        if other.enters and other.filled_ms is None and other.symbol == grant.symbol
    ]
    if grant.executed_before_sec is not None:
        times.append(grant.executed_before_sec)
    return plain(max(times)) if times else ""
