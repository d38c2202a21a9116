"""Orders of a symbol that may be in flight, by what Redis has of it."""

from __future__ import annotations

from collections.abc import Iterator

from brain.ledger.booking import decode_open_permit
from brain.ledger.order_memory import UnreadableRecordError
from brain.plans.permit import OpenPermit
from store.reconcile_records import ReconcileView

_EXECUTORS = b"exec:"


def open_permits(view: ReconcileView) -> Iterator[OpenPermit]:
    """Yield the open permits; one that cannot be read explains nothing."""
    for plan_id, text in view.permits.items():
        try:
            yield decode_open_permit(plan_id, text)
        except UnreadableRecordError:
            continue


def may_be_in_flight(view: ReconcileView, now_ms: int) -> bool:
    """Return True while a permit has not expired or cannot be read, or the executor holds the symbol.

    `now_ms`: Redis's clock. As `differing_ledgers.lua` finds it.
    """
    hold, permits = view.hold, tuple(open_permits(view))
    if view.unreadable is not None or len(permits) < len(view.permits):
        return True
    is_executors = hold is not None and hold.sig is not None and hold.sig.startswith(_EXECUTORS)
    return is_executors or any(permit.expires_ms > now_ms for permit in permits)
