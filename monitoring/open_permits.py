"""Open permits as pages show them."""

from __future__ import annotations

from collections.abc import Iterable

from brain.identifiers import PlanId
from brain.ledger.booking import decode_open_permit
from brain.ledger.order_memory import UnreadableRecordError
from brain.numbers import plain
from page.permit_content import PermitRow

_LONGEST = 200


def permit_row(symbol: str, plan_id: PlanId, text: str, now_ms: int) -> PermitRow:
    """Return the row of a permit as it is stored; `now_ms` by Redis's clock."""
    try:
        permit = decode_open_permit(plan_id, text)
    except UnreadableRecordError:
        return PermitRow(symbol, plan_id, f"unreadable: {text[:_LONGEST]}", None)
    leg = "" if permit.leg.value == "BOTH" else f" {permit.leg.value}"
    order = f"{permit.order_side} {plain(permit.remaining)} {permit.kind.value}{leg}"
    return PermitRow(symbol, plan_id, order, (permit.expires_ms - now_ms) / 1000)


def in_order(rows: Iterable[PermitRow]) -> list[PermitRow]:
    """Return the rows that cannot be read first, then by their end."""
    return sorted(rows, key=_ends)


def _ends(row: PermitRow) -> tuple[float, str, str]:
    return float("-inf") if row.left_sec is None else row.left_sec, row.symbol, row.plan_id
