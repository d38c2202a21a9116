"""A notice that a person has seen: marked with the name, until a time."""

from __future__ import annotations

import msgspec

from brain.moment import iso_utc
from commands.switches.changes import NotChangedError, Operator
from commands.switches.events import seen_event
from store.notice_records import SeenMark


class Acknowledgement(msgspec.Struct, frozen=True):
    """The notice by kind and subject, the person (empty: the one at the terminal), and for how long."""

    kind: str
    subject: str
    by: str
    for_sec: float


def mark_seen(operator: Operator, seen: Acknowledgement) -> None:
    """Mark a notice without a question: it stops no order. Raises StoreError, NotChangedError."""
    by = seen.by or operator.name
    now_ms = operator.look().now_ms
    mark = SeenMark(by, now_ms + round(seen.for_sec * 1000))
    event = seen_event(seen.kind, seen.subject, mark, now_ms=now_ms)
    if not operator.write(lambda store: store.mark_seen(seen.kind, seen.subject, mark, now_ms, event)):
        raise NotChangedError("1000 notices are marked as seen already: nothing was changed")
    of = f" of {seen.subject}" if seen.subject else ""
    print(f"{seen.kind}{of}: seen by {by} until {iso_utc(mark.until_ms)}.")
