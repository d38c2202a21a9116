"""Progress of a record by what the exchange shows of its order.

The filled quantity never shrinks, and an order that is final stays final. Each growth, and the end, is
published in one result. A refusal or an absence ends a record only while no order of it was seen.
"""

from __future__ import annotations

import msgspec

from brain.execution.orders import OrderState, OrderStatus
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import OrderId
from brain.numbers import ZERO

_FINAL_STATUSES = frozenset(status.value for status in OrderStatus if status.is_final)


def observe(record: OrderRecord, order: OrderState) -> OrderRecord:
    """Return the record with what `order` shows; the same record where that is nothing new.

    An order of another client order id or symbol shows nothing. Without a kind (the begin is lost) side and
    leg are those of the order.
    """
    if order.client_order_id != record.client_order_id or order.symbol != record.symbol:
        return record
    grown = order.cumulative > record.cumulative
    ended = record.status in _FINAL_STATUSES
    same = order.cumulative == record.cumulative
    status = record.status
    if (order.status.is_final and (grown or not ended)) or ((grown or same) and not ended):
        status = order.status.value
    average_price = record.average_price
    if order.average_price is not None and (grown or (same and average_price is None)):
        average_price = order.average_price
    phase = OrderPhase.FINAL if status in _FINAL_STATUSES else OrderPhase.WORKING
    return msgspec.structs.replace(
        record,
        side=record.side if record.kind else order.side,
        leg=record.leg if record.kind else order.leg,
        phase=OrderPhase.ORPHAN if record.phase is OrderPhase.ORPHAN else phase,
        order_id=record.order_id or order.order_id,
        status=status,
        cumulative=max(record.cumulative, order.cumulative),
        average_price=average_price,
        error="",
    )


def refuse(record: OrderRecord, error: str) -> OrderRecord:
    """Return the record's end without an order; the same record where an order of it was seen."""
    if was_seen(record) or record.phase is OrderPhase.FINAL:
        return record
    return msgspec.structs.replace(record, phase=OrderPhase.FINAL, error=error)


def lose_track(record: OrderRecord, error: str = "") -> OrderRecord:
    """Return the record as unknown; the same record where an order of it was seen, or it has ended.

    `error`: of the result, where one answer that there is no such order proves a refusal.
    """
    if was_seen(record) or record.phase is not OrderPhase.SENDING:
        return record
    return msgspec.structs.replace(record, phase=OrderPhase.UNKNOWN, error=error)


def vanish(record: OrderRecord, error: str) -> OrderRecord:
    """Return the end of an order that was seen and that the exchange has no more; what was filled stays."""
    if not was_seen(record) or record.phase.ended:
        return record
    return msgspec.structs.replace(
        record, phase=OrderPhase.FINAL, status=OrderStatus.EXPIRED.value, error=error
    )


def merge(stored: OrderRecord, known: OrderRecord) -> OrderRecord:
    """Return a stored record with what is known besides: of an order of it, of its refusal, or of neither."""
    if not was_seen(known):
        if known.phase is OrderPhase.FINAL:
            return refuse(stored, known.error)
        return lose_track(stored, known.error) if known.phase is OrderPhase.UNKNOWN else stored
    return observe(
        stored,
        OrderState(
            symbol=known.symbol,
            leg=known.leg,
            side=known.side,
            order_id=known.order_id or OrderId(""),
            client_order_id=known.client_order_id,
            status=OrderStatus(known.status),
            cumulative=known.cumulative,
            average_price=known.average_price,
            update_ms=0,
        ),
    )


def changes(before: OrderRecord, after: OrderRecord) -> bool:
    """Return True if the step to `after` is worth a version: an average price alone is not."""
    compared = ("phase", "order_id", "status", "cumulative", "error")
    return any(getattr(before, name) != getattr(after, name) for name in compared)


def was_seen(record: OrderRecord) -> bool:
    """Return True if the exchange has shown the order."""
    return record.order_id is not None or record.cumulative > ZERO


def result_due(before: OrderRecord, after: OrderRecord) -> bool:
    """Return True if the step from `before` to `after` is published as a result: a growth, or the end."""
    if after.phase is OrderPhase.ORPHAN:
        return False
    if was_seen(after) and after.cumulative > (before.published_cumulative or ZERO):
        return True
    return after.phase is OrderPhase.FINAL and (
        before.phase is not OrderPhase.FINAL or (was_seen(after) and not was_seen(before))
    )


def is_late(before: OrderRecord, after: OrderRecord) -> bool:
    """Return True if an order appears, or grows, whose record had ended."""
    if before.phase is not OrderPhase.FINAL:
        return False
    return after.phase is not OrderPhase.FINAL or result_due(before, after)


def next_version(before: OrderRecord, after: OrderRecord) -> OrderRecord:
    """Return `after` as the version behind `before`; what its result tells counts as published."""
    published = after.cumulative if result_due(before, after) else before.published_cumulative
    return msgspec.structs.replace(after, version=before.version + 1, published_cumulative=published)
