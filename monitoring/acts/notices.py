"""Notices that a person has seen: marked with the name, until a time."""

from __future__ import annotations

from brain.moment import iso_utc
from explanation.printable import printable
from monitoring.acts.act import Act, RefusedActError
from monitoring.acts.events import seen_event
from store.notice_records import SeenMark
from store.operator_protocol import OperatorStore


async def acknowledge(store: OperatorStore, kind: str, subject: str, by: str, *, for_sec: float) -> Act:
    """Prepare to mark a notice as seen; it stops no order. Raises StoreError."""
    now_ms = (await store.operator_view(None)).now_ms
    mark = SeenMark(by, now_ms + round(for_sec * 1000))
    event = seen_event(kind, subject, mark, now_ms=now_ms)
    shown = f"{kind} of {printable(subject)}" if subject else kind
    until = iso_utc(mark.until_ms)

    async def write(store: OperatorStore) -> str | None:
        if not await store.mark_seen(kind, subject, mark, now_ms, event):
            raise RefusedActError("1000 notices are marked as seen already: nothing was changed")
        return f"{shown}: seen by {by} until {until}."

    return Act(present=(), question=f"Mark {shown} as seen by {by} until {until}?", write=write)
