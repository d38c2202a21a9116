"""A notice that a person has seen: marked with the name, until a time."""

from __future__ import annotations

import msgspec

from commands.switches.changes import Operator, Order
from monitoring.acts import notices


class Acknowledgement(msgspec.Struct, frozen=True):
    """The notice by kind and subject, the person (empty: the one at the terminal), and for how long."""

    kind: str
    subject: str
    by: str
    for_sec: float


def mark_seen(operator: Operator, seen: Acknowledgement) -> None:
    """Mark a notice without a question: it stops no order. Raises StoreError, NotChangedError."""
    by = seen.by or operator.name
    operator.perform(
        Order("", yes=True),
        lambda store: notices.acknowledge(store, seen.kind, seen.subject, by, for_sec=seen.for_sec),
    )
