"""Notices that a person has seen: marked with the name, until a time."""

from __future__ import annotations

from brain.identifiers import is_symbol
from brain.moment import iso_utc
from explanation.printable import printable
from monitoring.acts.act import Act, RefusedActError
from monitoring.acts.events import seen_event
from monitoring.firing import OF_A_SYMBOL, SUBJECTS, NoticeKind
from store.notice_records import SeenMark
from store.operator_protocol import OperatorStore


def usable_subject(kind: str, subject: str) -> str:
    """Return the subject as notices of the kind have it. Raises RefusedActError where they cannot."""
    kind = NoticeKind(kind)
    wanted = SUBJECTS.get(kind)
    if wanted is None:
        if subject:
            raise RefusedActError(f"{kind} has no subject")
        return ""
    if kind in OF_A_SYMBOL:
        subject = subject.upper()
    if not subject or (kind in OF_A_SYMBOL and not is_symbol(subject)):
        raise RefusedActError(f"{kind} needs its subject, {wanted}")
    return subject


async def acknowledge(
    store: OperatorStore, kind: str, subject: str, by: str, *, for_sec: float, present: tuple[str, ...] = ()
) -> Act:
    """Prepare to mark a notice as seen; it stops no order. Raises RefusedActError, StoreError."""
    subject = usable_subject(kind, subject)
    now_ms = (await store.operator_view(None)).now_ms
    mark = SeenMark(by, now_ms + round(for_sec * 1000))
    event = seen_event(kind, subject, mark, now_ms=now_ms)
    shown = f"{kind} of {printable(subject)}" if subject else kind
    until = iso_utc(mark.until_ms)

    async def write(store: OperatorStore) -> str | None:
        if not await store.mark_seen(kind, subject, mark, now_ms, event):
            raise RefusedActError("1000 notices are marked as seen already: nothing was changed")
        return f"{shown}: seen by {by} until {until}."

    return Act(present=present, question=f"Mark {shown} as seen by {by} until {until}?", write=write)
