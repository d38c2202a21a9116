"""Turns a result and what is stored into what its booking writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from brain.decisions.dead_letter import dead_letter
from brain.decisions.plan_mark import Settled, Unjoined, decode_mark, encode_mark, join
from brain.identifiers import plan_id_text
from brain.ledger.booking import (
    Booking,
    LedgerUnreadable,
    LegsUnknown,
    NeedsAdoption,
    OrderMemory,
    UnreadableRecordError,
    book,
    decode_memory,
    decode_open_permit,
    encode_memory,
    encode_open_permit,
    next_version,
)
from brain.ledger.ledger import SET_THE_LEGS
from brain.ledger.result import ExecutedResult, RefusedResult
from brain.ledger.unknown_outcomes import UnknownOutcome, encode_unknown
from brain.plans.permit import OpenPermit
from brain.positions.position import LegPosition
from brain.text_fields import cut_text
from store.records import BookingState, Entry, OrderWrite, ResultCommit

LEDGER_TTL_MS = 86_400_000
_LONGEST_EVENT_VALUE = 64


class Unbookable(msgspec.Struct, frozen=True):
    """The result goes to the dead letters with `error`; `unjoined`: nothing tells its leg or side."""

    error: str
    unjoined: bool = False


class Waiting(msgspec.Struct, frozen=True):
    """The result stays pending, because of `why`: an operator has to set something first."""

    why: str


class BookingPlan(msgspec.Struct, frozen=True):
    """A commit, and the orders and the signed growth (contracts) that it books."""

    commit: ResultCommit
    order_ids: tuple[str, ...]
    growth: Decimal


def plan_booking(
    entry: Entry,
    result: ExecutedResult,
    state: BookingState,
    *,
    hedge_mode: bool,
    contained: Mapping[str, Decimal],
    now_sec: Decimal,
    mark_ttl_ms: int,
    exchange: Sequence[LegPosition] = (),
) -> BookingPlan | NeedsAdoption | Unbookable | Waiting:
    """What booking `result` on `state` writes.

    `contained`: by order id, how much of it the adopted ledger contains already (contracts): that is only
    remembered, and what goes beyond it is booked. `exchange`: fresh positions of the symbol's legs, if known.
    Raises UnreadableRecordError.
    """
    mark = decode_mark(state.plan_mark)
    permit = None if state.permit is None else decode_open_permit(result.plan_id, state.permit)
    stored, version = state.ledger, state.version
    fields: dict[str, str] | None = None
    memories: dict[str, str] = dict(state.orders)
    growth = Decimal(0)
    for order in result.orders:
        joined = join(order, mark, hedge_mode=hedge_mode)
        if isinstance(joined, Unjoined):
            return Unbookable(joined.error, unjoined=True)
        memory = _memory(memories.get(order.order_id), contained.get(order.order_id), now_sec)
        booking = book(
            order,
            leg=joined.leg,
            order_side=joined.order_side,
            moves_ledger=joined.moves_ledger,
            stored=stored,
            stored_version=version,
            memory=memory,
            permit=permit,
            now_sec=now_sec,
            exchange=exchange,
        )
        match booking:
            case NeedsAdoption():
                return booking
            case LedgerUnreadable(error):
                return Unbookable(f"ledger of {result.symbol}: {error}")
            case LegsUnknown():
                return Waiting(f"the ledger of {result.symbol} does not tell its legs: {SET_THE_LEGS}")
            case Booking():
                stored, permit = booking.ledger, booking.permit
                growth += booking.growth
                if booking.fields is not None:
                    # One commit is one change, however many orders it books.
                    fields = booking.fields | {"version": str(next_version(state.version))}
                if booking.memory is not None:
                    memories[order.order_id] = booking.memory
                elif memory is not None:
                    memories[order.order_id] = encode_memory(memory)
    orders = tuple(
        OrderWrite(order_id, state.orders.get(order_id), memory)
        for order_id, memory in memories.items()
        if state.orders.get(order_id) != memory
    )
    return BookingPlan(
        ResultCommit(
            entry_id=entry.id,
            plan_id=result.plan_id,
            symbol=result.symbol,
            compare=True,
            before_amounts=(state.ledger.last_known_amt, state.ledger.long_amt, state.ledger.short_amt),
            before_version=state.version,
            ledger_fields=() if fields is None else tuple(text for pair in fields.items() for text in pair),
            ledger_ttl_ms=LEDGER_TTL_MS,
            orders=orders,
            permit_before=state.permit,
            permit_after=_permit_after(state.permit, permit),
            revoke_permit=False,
            mark_before=state.plan_mark,
            mark_after="" if state.plan_mark else encode_mark(Settled.SETTLED),
            mark_ttl_ms=mark_ttl_ms,
            # A result that reports the order knows its outcome, or its executor follows it.
            unknown_after="",
        ),
        tuple(order.order_id for order in result.orders),
        growth,
    )


def plan_release(
    entry: Entry, result: RefusedResult, state: BookingState, *, mark_ttl_ms: int
) -> ResultCommit:
    """What a refusal writes: the plan's permit is revoked, and nothing is booked.

    One that comes from a consumer without a permit ends the open permit only where no other consumer has
    taken it. One that does not know what became of its order leaves the open permit as it is, and marks
    it so.
    """
    unknown = _unknown_outcome(entry, result, state)
    return ResultCommit(
        entry_id=entry.id,
        plan_id=result.plan_id,
        symbol=result.symbol or "",
        compare=True,
        before_amounts=(state.ledger.last_known_amt, state.ledger.long_amt, state.ledger.short_amt),
        before_version=state.version,
        ledger_fields=(),
        ledger_ttl_ms=LEDGER_TTL_MS,
        orders=(),
        permit_before=state.permit,
        permit_after=None if state.permit is None or result.unknown is not None else "",
        revoke_permit=True,
        mark_before=state.plan_mark,
        mark_after="" if state.plan_mark else encode_mark(Settled.SETTLED),
        mark_ttl_ms=mark_ttl_ms,
        only_if_unconsumed=result.had_no_permit,
        unknown_after=None if unknown is None else encode_unknown(unknown),
    )


def plan_burial(entry: Entry, error: str, *, mark_ttl_ms: int, unjoined: bool = False) -> ResultCommit:
    """What a result that cannot be booked writes: a dead letter, and an event where it cannot be joined.

    It settles its plan all the same: whoever reported it is done with the plan.
    """
    fields = entry.fields or {}
    plan_id = plan_id_text(fields.get(b"plan_id", b""))
    event: tuple[str, ...] = ()
    if unjoined:
        event = (
            "event", "RESULT_UNJOINED",
            "symbol", cut_text(fields.get(b"symbol", b""), _LONGEST_EVENT_VALUE),
            "plan_id", plan_id or "",
            "entry_id", entry.id,
            "error", error,
        )  # fmt: skip
    return ResultCommit(
        entry_id=entry.id,
        plan_id=plan_id or "",
        symbol="",
        compare=False,
        before_amounts=(None, None, None),
        before_version=None,
        ledger_fields=(),
        ledger_ttl_ms=LEDGER_TTL_MS,
        orders=(),
        permit_before=None,
        permit_after=None,
        revoke_permit=False,
        mark_before=None,
        mark_after="" if plan_id is None else encode_mark(Settled.SETTLED),
        mark_ttl_ms=mark_ttl_ms,
        dead_fields=dead_letter(fields, entry_id=entry.id, error=error),
        event_fields=event,
    )


def _unknown_outcome(entry: Entry, result: RefusedResult, state: BookingState) -> UnknownOutcome | None:
    """The state to mark an open permit with; one that cannot be read blocks its symbol as it is."""
    if result.unknown is None or result.symbol is None or state.permit is None:
        return None
    try:
        permit = decode_open_permit(result.plan_id, state.permit)
    except UnreadableRecordError:
        return None
    return UnknownOutcome(
        result.plan_id, result.symbol, entry.published_ms or entry.id_ms, permit.expires_ms, result.unknown
    )


def _memory(stored: str | None, contained: Decimal | None, now_sec: Decimal) -> OrderMemory | None:
    """What counts as booked of an order: what was, or what the adopted ledger contains, if that is more."""
    memory = None if stored is None else decode_memory(stored)
    if contained is None or (memory is not None and memory.cumulative >= contained):
        return memory
    return OrderMemory(contained, int(now_sec * 1000))


def _permit_after(stored: str | None, permit: OpenPermit | None) -> str | None:
    if stored is None:
        return None
    text = "" if permit is None else encode_open_permit(permit)
    return None if text == stored else text
