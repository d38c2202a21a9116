"""The effect of executed orders on the ledger, the order memory and the open permit.

Everything here is text in, text out, exact: the caller stores it with a compare-and-set on what was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from brain.identifiers import OrderId, PlanId
from brain.ledger.ledger import (
    SET_THE_LEGS,
    Ledger,
    LedgerLegs,
    StoredLedger,
    UnreadableLedgerError,
    legs_of,
    parse_ledger,
)
from brain.ledger.order_memory import OrderMemory, UnreadableRecordError, decode_memory, encode_memory
from brain.ledger.plan_mark import Joined, PlanMark, Settled, Unjoined, join
from brain.ledger.result import DeadResult, ExecutedResult, FilledOrder
from brain.numbers import EXACT, ZERO, NotANumberError, parse_decimal, plain
from brain.plans.permit import Kind, OpenPermit
from brain.positions.position import Leg, LegPosition, side_of

_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)


class Booking(msgspec.Struct, frozen=True):
    """Values to store for one order.

    `growth` is signed, in contracts: what the order added that was not booked before. `ledger` is the
    ledger afterwards, ready to be the next order's `stored`; `fields` is its complete hash, None when
    nothing in it changes. `memory` is the order's memory as text, None when it stays as it is. `permit` is
    what remains of the open permit, None when there is none or it has ended.
    """

    growth: Decimal
    ledger: StoredLedger
    fields: dict[str, str] | None
    memory: str | None
    permit: OpenPermit | None


class BookedOrders(msgspec.Struct, frozen=True):
    """Values to store for all orders of a result, in the forms of `Booking`. `memories`: by order id."""

    fields: dict[str, str] | None
    memories: dict[OrderId, str]
    permit: OpenPermit | None


class NeedsAdoption(msgspec.Struct, frozen=True):
    """The symbol has no ledger yet: adopt one from the exchange, then book again."""


class Waiting(msgspec.Struct, frozen=True):
    """The result stays pending, because of `why`: an operator has to set something first."""

    why: str


def book_orders(
    result: ExecutedResult,
    *,
    mark: PlanMark | Settled | None,
    hedge_mode: bool,
    stored: StoredLedger,
    stored_version: str | None,
    memories: Mapping[OrderId, str],
    contained: Mapping[OrderId, Decimal],
    permit: OpenPermit | None,
    now_sec: Decimal,
    exchange: Iterable[LegPosition] = (),
) -> BookedOrders | NeedsAdoption | DeadResult | Waiting:
    """Book each order of a result on what those before it leave; the ledger's version grows by one in all.

    `memories`: the stored memory of each order. `contained`: by order id, how much of it the adopted ledger
    contains (contracts): that is only remembered, and what goes beyond it is booked. `now_sec` and `exchange`
    as for `book`. Raises UnreadableRecordError.
    """
    fields: dict[str, str] | None = None
    remembered = dict(memories)
    for order in result.orders:
        joined = join(order, mark, hedge_mode=hedge_mode)
        if isinstance(joined, Unjoined):
            return DeadResult(joined.error, unjoined=True)
        memory = _memory(remembered.get(order.order_id), contained.get(order.order_id), now_sec)
        booking = book(
            order,
            joined,
            symbol=result.symbol,
            stored=stored,
            stored_version=stored_version,
            memory=memory,
            permit=permit,
            now_sec=now_sec,
            exchange=exchange,
        )
        if not isinstance(booking, Booking):
            return booking
        stored, permit = booking.ledger, booking.permit
        fields = booking.fields or fields
        if booking.memory is not None:
            remembered[order.order_id] = booking.memory
        elif memory is not None:
            remembered[order.order_id] = encode_memory(memory)
    return BookedOrders(fields, remembered, permit)


def book(
    order: FilledOrder,
    joined: Joined,
    *,
    symbol: str,
    stored: StoredLedger,
    stored_version: str | None,
    memory: OrderMemory | None,
    permit: OpenPermit | None,
    now_sec: Decimal,
    exchange: Iterable[LegPosition] = (),
) -> Booking | NeedsAdoption | DeadResult | Waiting:
    """Book the growth of `order` over what it had already contributed; never a step back.

    A dead letter: the ledger holds something that cannot be added to. Waiting: the legs of a hedge-mode
    ledger are unknown, until an operator has set them.

    Where `joined` moves no ledger, order memory and open permit change all the same. `now_sec` is the moment
    of booking in epoch seconds. An amount that an operator has set is where the booking starts. `exchange`:
    fresh positions of the symbol's legs, empty where none are known; a ledger of which an operator set only
    the sum takes its legs from them.
    """
    booked_before = memory.cumulative if memory else ZERO
    growth = max(ZERO, EXACT.subtract(order.cumulative, booked_before))
    signed = growth if joined.order_side == "BUY" else -growth
    ledger, fields = stored, None
    if growth and joined.moves_ledger:
        if stored.last_known_amt is None:
            return NeedsAdoption()
        try:
            after = moved(
                stored, joined.leg, signed, order_id=order.order_id, now_sec=now_sec, exchange=exchange
            )
            if after is None:
                return Waiting(f"the ledger of {symbol} does not tell its legs: {SET_THE_LEGS}")
            ledger = after
        except (UnreadableLedgerError, NotANumberError) as error:
            return DeadResult(f"ledger of {symbol}: {error}")
        fields = ledger_fields(
            ledger, version=next_version(stored_version), source="apply_result", now_sec=now_sec
        )
    return Booking(
        growth=signed if growth else ZERO,
        ledger=ledger,
        fields=fields,
        memory=_memory_text(order, joined, now_sec) if growth else None,
        permit=_remaining(permit, growth, final=order.final),
    )


def moved(
    stored: StoredLedger,
    leg: Leg,
    signed: Decimal,
    *,
    order_id: OrderId,
    now_sec: Decimal,
    exchange: Iterable[LegPosition] = (),
) -> StoredLedger | None:
    """Return the ledger after an order moved `leg` by `signed`; None where its legs are not known.

    Reads only the amounts of the account's position mode; the others are overwritten. In hedge mode an
    operator's correction of the sum stays: the legs follow from it and the exchange's rows, else sum and leg
    move separately. Raises UnreadableLedgerError, NotANumberError.
    """
    after = msgspec.structs.replace(stored, last_order_id=order_id, last_order_time_epoch=plain(now_sec))
    if leg is Leg.BOTH:
        amount = _readable(StoredLedger(last_known_amt=stored.last_known_amt)).amount
        return msgspec.structs.replace(
            after, last_known_amt=_sum(amount, signed), long_amt=None, short_amt=None
        )
    ledger = _readable(msgspec.structs.replace(stored, last_order_time_epoch=None))
    legs = legs_of(ledger, exchange, moving=leg)
    if legs is None:
        if ledger.long_amount is None or ledger.short_amount is None:
            return None
        legs = LedgerLegs(ledger.long_amount, ledger.short_amount)
    return msgspec.structs.replace(
        after,
        last_known_amt=_sum(ledger.amount, signed),
        long_amt=_sum(legs.long, signed if leg is Leg.LONG else ZERO),
        short_amt=_sum(legs.short, signed if leg is Leg.SHORT else ZERO),
    )


def adopt(legs: tuple[LegPosition, ...], *, now_sec: Decimal) -> dict[str, str]:
    """Return the hash of a ledger adopted from the exchange: its amounts, version 1, and no order."""
    amounts = {row.leg: row.amount for row in legs}
    hedged = Leg.LONG in amounts or Leg.SHORT in amounts
    ledger = StoredLedger(
        last_known_amt=plain(sum(amounts.values(), ZERO)),
        long_amt=plain(amounts.get(Leg.LONG, ZERO)) if hedged else None,
        short_amt=plain(amounts.get(Leg.SHORT, ZERO)) if hedged else None,
    )
    return ledger_fields(ledger, version=1, source="adopted", now_sec=now_sec)


def ledger_fields(ledger: StoredLedger, *, version: int, source: str, now_sec: Decimal) -> dict[str, str]:
    """Return the complete hash of a readable ledger, see docs/contract.md; unknown values have no field.

    `ledger_amt` and `ledger_side` repeat the amount for P3.4. Raises NotANumberError.
    """
    amount = parse_decimal(ledger.last_known_amt or "")
    text, side = plain(amount), side_of(amount).value
    fields = {
        "last_known_amt": text,
        "last_known_side": side,
        "ledger_amt": text,
        "ledger_side": side,
        "last_update_ts": plain(now_sec),
        "version": str(version),
        "source": source,
    }
    optional = ("last_order_id", "last_order_time_epoch", "long_amt", "short_amt")
    return fields | {name: value for name in optional if (value := getattr(ledger, name)) is not None}


def next_version(stored: str | None) -> int:
    """Return one more than the stored version; 1 where there is none, or an unreadable one."""
    return int(stored) + 1 if stored is not None and _WHOLE.fullmatch(stored) else 1


def encode_open_permit(permit: OpenPermit) -> str:
    """Encode an open permit as stored under its plan id: `leg|kind|order_side|remaining|expires_ms`."""
    return "|".join(
        (permit.leg, permit.kind, permit.order_side, plain(permit.remaining), str(permit.expires_ms))
    )


def decode_open_permit(plan_id: PlanId, text: str) -> OpenPermit:
    """Decode an open permit. Raises UnreadableRecordError: ignoring a permit would free its quantity."""
    match text.split("|"):
        case [leg, kind, ("BUY" | "SELL") as side, remaining, expires] if _WHOLE.fullmatch(expires):
            try:
                quantity = parse_decimal(remaining)
                if quantity >= 0:
                    return OpenPermit(plan_id, Leg(leg), Kind(kind), side, quantity, int(expires))
            except ValueError as error:
                raise UnreadableRecordError(f"open permit {text[:80]!r}: {error}") from None
    raise UnreadableRecordError(f"open permit {text[:80]!r}")


def _memory_text(order: FilledOrder, joined: Joined, now_sec: Decimal) -> str:
    closes = not joined.moves_ledger
    return encode_memory(OrderMemory(order.cumulative, int(now_sec * 1000), closes=closes))


def _memory(stored: str | None, contained: Decimal | None, now_sec: Decimal) -> OrderMemory | None:
    """Return what counts as booked of an order: the larger of its memory and of what the ledger contains."""
    memory = None if stored is None else decode_memory(stored)
    if contained is None or (memory is not None and memory.cumulative >= contained):
        return memory
    return OrderMemory(contained, int(now_sec * 1000))


def _readable(stored: StoredLedger) -> Ledger:
    ledger = parse_ledger(stored)
    if ledger is None:
        raise UnreadableLedgerError("last_known_amt: missing")
    return ledger


def _sum(amount: Decimal, signed: Decimal) -> str:
    """Add, and return text that can be read back. Raises NotANumberError for a sum too large for a ledger."""
    text = plain(EXACT.add(amount, signed))
    parse_decimal(text)
    return text


def _remaining(permit: OpenPermit | None, growth: Decimal, *, final: bool) -> OpenPermit | None:
    """Return the open permit without the filled `growth`; None where it has ended."""
    if permit is None or final or growth >= permit.remaining:
        return None
    return msgspec.structs.replace(permit, remaining=EXACT.subtract(permit.remaining, growth))
