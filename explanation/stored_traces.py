"""Traces of a plan as they are stored, read for its explanation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from brain.identifiers import PlanId
from brain.ledger.booking import decode_open_permit
from brain.ledger.order_memory import UnreadableRecordError
from brain.plans.permit import OpenPermit
from explanation.case_events import named_orders
from explanation.entry_texts import orders_of
from explanation.execution import Booked
from explanation.timeline import Dated


def reservation_of(plan_id: PlanId, stored: str | None) -> OpenPermit | None:
    """Return what the plan's permit still covers; None where there is nothing, or nothing readable."""
    try:
        return None if stored is None else decode_open_permit(plan_id, stored)
    except UnreadableRecordError:
        return None


def booked_of(order_id: str, stored: bytes | None) -> Booked | None:
    """Return what the ledger writer remembers of an order: `0.3|1760000000123`."""
    quantity, _, at_ms = (stored or b"").decode(errors="backslashreplace").partition("|")
    return Booked(order_id, quantity, int(at_ms)) if at_ms.isdecimal() else None


def order_ids_of(record: Mapping[str, str], results: Iterable[Dated]) -> frozenset[str]:
    """Return the orders that the executor's record and the results of a plan name."""
    ids = {record.get("order_id", ""), *(order_id for each in results for order_id in orders_of(each.fields))}
    return frozenset(ids - {""})


def symbol_executed(record: Mapping[str, str], steps: tuple[Dated, ...], results: tuple[Dated, ...]) -> str:
    """Return the symbol of a plan's execution, from the record, else from what came last; empty for none."""
    named = (record, *(each.fields for each in (*reversed(steps), *results)))
    return next((fields["symbol"] for fields in named if fields.get("symbol")), "")


def is_held_for(record: Mapping[str, str], hold_sig: str | None) -> bool:
    """Return True where the executor holds the symbol for the order of a record."""
    client_order_id = record.get("client_order_id")
    return bool(client_order_id) and hold_sig == f"exec:{client_order_id}"


def concerns(
    event: Mapping[str, str], plan_id: str, order_ids: Collection[str], client_order_id: str | None
) -> bool:
    """Return True for an event of reconciling that names the plan or one of its orders."""
    if event.get("plan_id") == plan_id:
        return True
    return any(
        each.order_id in order_ids or (client_order_id and each.client_order_id == client_order_id)
        for each in named_orders(event)
    )
