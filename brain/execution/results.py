"""Results of the executor: the details dialect of `apply.result`, with the fields of the flat one."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.execution.progress import was_seen
from brain.execution.record import OrderRecord
from brain.identifiers import ClientOrderId, PlanId, Symbol
from brain.numbers import ZERO, plain

#: `source` of every result.
SOURCE = "intent_executor"
_JSON = msgspec.json.Encoder()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that a result says of a plan. Quantities are in contracts; None: not known.

    `filled` is cumulative. `safe_quantity` is the permit's. `waited_ms`: for the permits; `latency_ms`: from
    the request to its answer. `published_sec`: whole epoch seconds.
    """

    plan_id: PlanId
    symbol: Symbol | None
    executed: bool
    published_sec: int
    instance: str
    decision: str
    action: str
    error: str = ""
    would_execute: bool = False
    side: str = ""
    kind: str = ""
    quantity: Decimal | None = None
    filled: Decimal = ZERO
    order_id: str = ""
    order_status: str = ""
    reduce_only: bool | None = None
    client_order_id: ClientOrderId | None = None
    average_price: Decimal | None = None
    safe_quantity: Decimal | None = None
    waited_ms: int | None = None
    latency_ms: int | None = None


def outcome_of(
    record: OrderRecord,
    *,
    published_sec: int,
    safe_quantity: Decimal | None = None,
    waited_ms: int | None = None,
    latency_ms: int | None = None,
) -> Outcome:
    """Return what the result of a record's new version says: executed if the exchange has the order."""
    executed = was_seen(record)
    return Outcome(
        plan_id=record.plan_id,
        symbol=record.symbol,
        executed=executed,
        published_sec=published_sec,
        instance=record.instance,
        decision=record.decision,
        action=record.action,
        error=record.error,
        would_execute=executed,
        side=record.side,
        kind=record.kind,
        quantity=record.quantity,
        filled=record.cumulative,
        order_id=record.order_id or "",
        order_status=record.status,
        reduce_only=record.reduce_only,
        client_order_id=record.client_order_id,
        average_price=record.average_price,
        safe_quantity=safe_quantity,
        waited_ms=waited_ms,
        latency_ms=latency_ms,
    )


def result_fields(outcome: Outcome) -> tuple[str, ...]:
    """Return flat names and values. Booleans are lower case, times whole seconds: readers rely on both."""
    texts = {
        "event_type": "apply.result",
        "plan_id": outcome.plan_id,
        "symbol": outcome.symbol or "",
        "executed": _boolean(outcome.executed),
        "source": SOURCE,
        "timestamp": str(outcome.published_sec),
        "ts": str(outcome.published_sec),
        "side": outcome.side,
        "qty": _decimal(outcome.quantity),
        "order_id": outcome.order_id,
        "filled_qty": plain(outcome.filled),
        "order_status": outcome.order_status,
        "reduceOnly": "" if outcome.reduce_only is None else _boolean(outcome.reduce_only),
        "action": outcome.action,
        "decision": outcome.decision,
        "would_execute": _boolean(outcome.would_execute),
        "error": outcome.error,
        "client_order_id": outcome.client_order_id or "",
        "avg_price": _decimal(outcome.average_price),
        "details": _details(outcome).decode(),
    }
    return tuple(text for pair in texts.items() for text in pair)


class _Details(msgspec.Struct, frozen=True, kw_only=True):
    """`details`: numbers are written from exact decimals; what is not known is null."""

    plan_id: str
    symbol: str | None
    executed: bool
    source: str
    timestamp: int
    ts: int
    side: str | None
    qty: msgspec.Raw
    order_id: str | None
    filled_qty: msgspec.Raw
    order_status: str | None
    reduceOnly: bool | None  # noqa: N815 - the contract's name
    action: str
    decision: str
    would_execute: bool
    error: str | None
    client_order_id: str | None
    avg_price: msgspec.Raw
    kind: str | None
    safe_qty: msgspec.Raw
    waited_ms: int | None
    latency_ms: int | None
    instance: str


def _details(outcome: Outcome) -> bytes:
    return _JSON.encode(
        _Details(
            plan_id=outcome.plan_id,
            symbol=outcome.symbol,
            executed=outcome.executed,
            source=SOURCE,
            timestamp=outcome.published_sec,
            ts=outcome.published_sec,
            side=outcome.side or None,
            qty=_number(outcome.quantity),
            order_id=outcome.order_id or None,
            filled_qty=_number(outcome.filled),
            order_status=outcome.order_status or None,
            reduceOnly=outcome.reduce_only,
            action=outcome.action,
            decision=outcome.decision,
            would_execute=outcome.would_execute,
            error=outcome.error or None,
            client_order_id=outcome.client_order_id,
            avg_price=_number(outcome.average_price),
            kind=outcome.kind or None,
            safe_qty=_number(outcome.safe_quantity),
            waited_ms=outcome.waited_ms,
            latency_ms=outcome.latency_ms,
            instance=outcome.instance,
        )
    )


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _decimal(value: Decimal | None) -> str:
    return "" if value is None else plain(value)


def _number(value: Decimal | None) -> msgspec.Raw:
    return msgspec.Raw(b"null" if value is None else plain(value).encode())
