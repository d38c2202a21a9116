"""Records of the operators' commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from brain.identifiers import EntryId, OrderId, PlanId, Symbol
from store.execution_records import Switches

#: Streams of which dead letters can be published again.
DeadStream = Literal["apply.plan", "apply.result"]


class Hold(NamedTuple):
    """A hold of a symbol as stored; `!` for a value of a wrong type, `ttl_ms` None where it never expires."""

    value: bytes
    reason: bytes | None
    sig: bytes | None
    ttl_ms: int | None


class OperatorView(NamedTuple):
    """Switches, today's mark of an auto-disarm, and the hold of the symbol that was asked for."""

    now_ms: int
    switches: Switches
    disarmed: bytes | None
    hold: Hold | None


class LetterView(NamedTuple):
    """A dead letter, and the mark where its original was published again. `now_ms`: Redis's clock."""

    now_ms: int
    fields: Mapping[bytes, bytes]
    republished: bytes | None


class Republication(NamedTuple):
    """An original to publish again, with what must still be so.

    `latest_ms` by Redis's clock; `undecided`: the plan that must have no mark; `orders`: order memory of
    `symbol` as it was read. `mark` is stored, and keeps the original from being published a third time.
    """

    stream: DeadStream
    entry_id: EntryId
    fields: tuple[str, ...]
    mark: str
    latest_ms: int | None = None
    undecided: PlanId | None = None
    symbol: Symbol = Symbol("")
    orders: tuple[tuple[OrderId, str], ...] = ()
