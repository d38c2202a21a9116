"""Plans the commit of a result from the result and from what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from brain.decisions.dead_letter import dead_letter
from brain.identifiers import OrderId, PlanId, Symbol, plan_id_text
from brain.ledger.booking import (
    BookedOrders,
    NeedsAdoption,
    Waiting,
    book_orders,
    decode_open_permit,
    encode_open_permit,
)
from brain.ledger.ledger import LEDGER_TTL_MS, StoredLedger
from brain.ledger.order_memory import OrderMemory, UnreadableRecordError, encode_memory
from brain.ledger.plan_mark import Settled, decode_mark, encode_mark
from brain.ledger.result import DeadResult, ExecutedResult, RefusedResult, read_result
from brain.ledger.unknown_outcomes import UnknownOutcome, encode_unknown
from brain.numbers import ZERO
from brain.plans.permit import OpenPermit
from brain.plans.plan import RECONCILE_CLOSE_PLAN
from brain.positions.position import LegPosition
from brain.text_fields import truncate
from channels import LatestValue
from clocks.clocks import Clocks
from store.records import BookingState, Entry, OrderWrite, ResultCommit

_LONGEST_EVENT_VALUE = 64
_NOTHING_READ = BookingState(StoredLedger(), None, {}, None, None)


class CommitPlanner:
    """Plans commits and writes none: each compares what it rests on with what is stored."""

    def __init__(self, clocks: Clocks, hedge_mode: LatestValue[bool], *, mark_ttl_ms: int) -> None:
        """`mark_ttl_ms`: the life of the mark of a plan whose result came before its decision."""
        self._clocks = clocks
        self._hedge_mode = hedge_mode
        self._mark_ttl_ms = mark_ttl_ms

    def plan(
        self,
        entry: Entry,
        result: ExecutedResult | RefusedResult,
        state: BookingState,
        *,
        contained: Mapping[OrderId, Decimal],
        exchange: Sequence[LegPosition] = (),
    ) -> ResultCommit | NeedsAdoption | DeadResult | Waiting:
        """Return what the result writes on `state`, or what that needs first.

        `contained` and `exchange` as for `brain.ledger.booking.book_orders`. Raises UnreadableRecordError.
        """
        if isinstance(result, RefusedResult):
            return self._release(entry, result, state)
        permit = None if state.permit is None else decode_open_permit(result.plan_id, state.permit)
        booked = book_orders(
            result,
            mark=decode_mark(state.plan_mark),
            hedge_mode=bool(self._hedge_mode.value),
            stored=state.ledger,
            stored_version=state.version,
            memories=state.orders,
            contained=contained,
            permit=permit,
            now_sec=self._now_sec(),
            exchange=exchange,
        )
        if not isinstance(booked, BookedOrders):
            return booked
        return msgspec.structs.replace(
            self._settled(entry, result.plan_id, result.symbol, state),
            ledger_fields=tuple(text for pair in (booked.fields or {}).items() for text in pair),
            orders=tuple(
                OrderWrite(order_id, state.orders.get(order_id), memory)
                for order_id, memory in booked.memories.items()
                if state.orders.get(order_id) != memory
            ),
            permit_after=_permit_after(state.permit, booked.permit),
            # A result that reports the order has its outcome, or its executor follows it.
            unknown_after="",
        )

    def dead_letter(self, entry: Entry, error: str, *, unjoined: bool = False) -> ResultCommit:
        """Return the commit of a dead letter, with an event for a result that is `unjoined`.

        Its plan is settled all the same: the executor that reported the result is done with the plan. Its
        orders, as far as they can be read, are ours, and nothing of them is booked: that is remembered.
        """
        fields = entry.fields or {}
        plan_id = plan_id_text(fields.get(b"plan_id", b"")) or PlanId("")
        event: tuple[str, ...] = ()
        if unjoined:
            event = (
                "event", "RESULT_UNJOINED",
                "symbol", truncate(fields.get(b"symbol", b""), _LONGEST_EVENT_VALUE),
                "plan_id", plan_id,
                "entry_id", entry.id,
                "error", error,
            )  # fmt: skip
        result = read_result(fields)
        symbol, named = Symbol(""), tuple[OrderWrite, ...]()
        if isinstance(result, ExecutedResult):
            symbol, closes = result.symbol, plan_id.startswith(RECONCILE_CLOSE_PLAN)
            nothing = encode_memory(OrderMemory(ZERO, self._clocks.redis_now_ms(), closes=closes))
            named = tuple(OrderWrite(order.order_id, None, nothing) for order in result.orders)
        return msgspec.structs.replace(
            self._settled(entry, plan_id, symbol, _NOTHING_READ),
            named=named,
            compare=False,
            dead_fields=dead_letter(fields, entry_id=entry.id, error=error),
            event_fields=event,
        )

    def _release(self, entry: Entry, result: RefusedResult, state: BookingState) -> ResultCommit:
        """Revoke the plan's permit, and book nothing.

        A refusal by a consumer that had no permit ends the open permit only where no other consumer has
        consumed it. One that does not know the outcome of its order marks the open permit as unknown and
        leaves it as it is.
        """
        unknown = _unknown_outcome(entry, result, state)
        return msgspec.structs.replace(
            self._settled(entry, result.plan_id, result.symbol or Symbol(""), state),
            permit_after=None if state.permit is None or result.unknown is not None else "",
            revoke_permit=True,
            only_if_unconsumed=result.had_no_permit,
            unknown_after=None if unknown is None else encode_unknown(unknown),
        )

    def _settled(self, entry: Entry, plan_id: PlanId, symbol: Symbol, state: BookingState) -> ResultCommit:
        """Return a commit on `state` that marks a plan without a decision as settled, and changes no more."""
        return ResultCommit(
            entry_id=entry.id,
            plan_id=plan_id,
            symbol=symbol,
            compare=True,
            before_amounts=(state.ledger.last_known_amt, state.ledger.long_amt, state.ledger.short_amt),
            before_version=state.version,
            ledger_fields=(),
            ledger_ttl_ms=LEDGER_TTL_MS,
            orders=(),
            permit_before=state.permit,
            permit_after=None,
            revoke_permit=False,
            mark_before=state.plan_mark,
            mark_after="" if state.plan_mark or not plan_id else encode_mark(Settled.SETTLED),
            mark_ttl_ms=self._mark_ttl_ms,
        )

    def _now_sec(self) -> Decimal:
        """Read Redis's clock: cooldowns compare the ledger's order time with that."""
        return Decimal(self._clocks.redis_now_ms()).scaleb(-3)


def _unknown_outcome(entry: Entry, result: RefusedResult, state: BookingState) -> UnknownOutcome | None:
    """Return the state to mark an open permit with; one that cannot be read blocks its symbol as it is."""
    if result.unknown is None or result.symbol is None or state.permit is None:
        return None
    try:
        permit = decode_open_permit(result.plan_id, state.permit)
    except UnreadableRecordError:
        return None
    return UnknownOutcome(
        result.plan_id, result.symbol, entry.published_ms or entry.id_ms, permit.expires_ms, result.unknown
    )


def _permit_after(stored: str | None, permit: OpenPermit | None) -> str | None:
    if stored is None:
        return None
    text = "" if permit is None else encode_open_permit(permit)
    return None if text == stored else text
