"""Lines of a case's time line: entries of `reconcile.events`, by the service and by operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from brain.json_text import read_json
from brain.reconciliation.texts import CaseEvent

_MOST_NAMED = 5
_PLAIN = frozenset({"event", "symbol", "ts", "timestamp", "record"})


class NamedOrder(msgspec.Struct, frozen=True):
    """An order that a state or an event of the reconcile engine names (`orders`)."""

    order_id: str
    client_order_id: str = ""
    cause: str = ""
    leg: str = ""
    side: str = ""
    qty: str = ""
    time_ms: int = 0


def named_orders(fields: Mapping[str, str]) -> tuple[NamedOrder, ...]:
    """Return the orders that a state or an event names; none where they cannot be read."""
    try:
        orders = read_json(_ORDERS, fields.get("orders") or "[]")
    except msgspec.DecodeError:
        orders = []
    own = fields.get("order_id", "")
    if own and fields.get("event") != CaseEvent.AUTO_REPAIR:
        orders = [*orders, NamedOrder(own, fields.get("client_order_id", ""), fields.get("cause", ""))]
    return tuple(orders)


def orders_text(orders: tuple[NamedOrder, ...]) -> str:
    """Return orders for a sentence: `BUY 0.3 of order 123 (web_abc, manual)`."""
    texts = [
        f"{_moved(each)} of order {each.order_id} ({each.client_order_id or 'not shown'}, {each.cause})"
        for each in orders[-_MOST_NAMED:]
    ]
    more = len(orders) - len(texts)
    return "; ".join(texts) + (f"; and {more} before" if more else "")


def _moved(order: NamedOrder) -> str:
    leg = "" if order.leg in ("", "BOTH") else f" {order.leg}"
    return f"{order.side} {order.qty}{leg}"


def event_line(fields: Mapping[str, str]) -> str:
    """Return the line of an event."""
    event = fields.get("event", "")
    line = _LINES.get(event)
    if line is not None:
        return line(fields)
    details = ", ".join(f"{name} {value}" for name, value in fields.items() if name not in _PLAIN and value)
    return f"{event or 'An event without a name'}: {details or 'no details'}."


def _amounts(fields: Mapping[str, str]) -> str:
    ledger = fields.get("ledger_amt") or "none"
    return f"exchange {fields.get('exchange_amt')}, ledger {ledger}"


def _why(fields: Mapping[str, str], before: str = ": ") -> str:
    return f"{before}{fields['why']}" if fields.get("why") else ""


def _hold_set(fields: Mapping[str, str]) -> str:
    if by := fields.get("by"):
        return f"{by} holds the symbol: {fields.get('reason')}."
    return f"The reconcile engine holds the symbol: {fields.get('reason')}, {_amounts(fields)}."


def _hold_cleared(fields: Mapping[str, str]) -> str:
    if by := fields.get("by"):
        return f"{by} releases the symbol from {fields.get('hold_sig') or 'a hold'}: {fields.get('reason')}."
    return f"The reconcile engine releases the symbol{_why(fields)}."


def _repair(fields: Mapping[str, str]) -> str:
    return f"The ledger is repaired, {_amounts(fields)} before: {orders_text(named_orders(fields))}."


def _diverged(fields: Mapping[str, str]) -> str:
    return (
        f"No result of order {fields.get('order_id')} came in time ({fields.get('client_order_id')}, "
        f"{fields.get('cause')}): {fields.get('side')} {fields.get('cumulative_qty')} filled, ledger "
        f"{fields.get('ledger_amt') or 'none'}."
    )


def _of_order(fields: Mapping[str, str]) -> str:
    return (
        f"order {fields.get('order_id')} ({fields.get('client_order_id')}): {fields.get('side')} "
        f"{fields.get('filled_qty')} filled"
    )


_LINES: dict[str, Callable[[Mapping[str, str]], str]] = {
    CaseEvent.HOLD_SET: _hold_set,
    CaseEvent.HOLD_CLEARED: _hold_cleared,
    CaseEvent.AUTO_REPAIR: _repair,
    CaseEvent.MANUAL_REQUIRED: lambda fields: f"A person is needed, {_amounts(fields)}{_why(fields)}.",
    CaseEvent.DRIFT: lambda fields: f"They differ without a hold, {_amounts(fields)}{_why(fields)}.",
    CaseEvent.EVIDENCE_INCOMPLETE: lambda fields: f"The evidence is incomplete{_why(fields)}.",
    CaseEvent.CLOSE_PROPOSED: lambda fields: (
        f"A close is proposed as plan {fields.get('plan_id')}: {fields.get('side')} {fields.get('qty')}."
    ),
    CaseEvent.ORPHAN_ORDER: lambda fields: f"An order of ours has no record, {_of_order(fields)}.",
    "EXECUTION_LATE": lambda fields: f"An order that counted as not found exists, {_of_order(fields)}.",
    "LEDGER_DIVERGED": _diverged,
    "LEDGER_ADOPTED": lambda fields: f"The ledger is adopted from the exchange: {fields.get('ledger_amt')}.",
    "RESULT_UNJOINED": lambda fields: (
        f"A result of plan {fields.get('plan_id')} cannot be booked: {fields.get('error')}."
    ),
}
_ORDERS = msgspec.json.Decoder(list[NamedOrder])
