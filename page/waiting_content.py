"""Content of the page of what waits."""

from __future__ import annotations

import msgspec

from page.permit_content import PermitRow


class Totals(msgspec.Struct, frozen=True):
    """Exposure by mark price and unrealised P&L, as text; None where no position is known.

    `unpriced`: symbols that they lack. Of the `symbols` that trade or are held, `missing` have no snapshot,
    and `stale` an old one, or one that is not trusted; `whole`: there are none of either.
    """

    gross: str | None
    net: str | None
    profit: str | None
    positions: int
    unpriced: int
    symbols: int
    missing: int
    stale: int
    whole: bool


class PendingRow(msgspec.Struct, frozen=True):
    """An entry in the hands of a consumer."""

    entry_id: str
    symbol: str
    plan_id: str
    consumer: str
    idle_sec: float
    deliveries: int


class LetterRow(msgspec.Struct, frozen=True):
    """A dead letter with its content."""

    entry_id: str
    at_ms: int | None
    error: str
    fields: tuple[tuple[str, str], ...]


class StreamWaits(msgspec.Struct, frozen=True):
    """Entries that wait on one stream; `error` names what could not be read of it."""

    name: str
    pending: int
    rows: tuple[PendingRow, ...]
    letters: int
    newest: tuple[LetterRow, ...]
    error: str


class UnknownRow(msgspec.Struct, frozen=True):
    """An order of which it is not known whether it was filled, or a result that waits for an operator."""

    symbol: str
    plan_id: str
    what: str


class CaseRow(msgspec.Struct, frozen=True):
    """An open case of the reconcile engine."""

    symbol: str
    status: str
    difference: str
    for_sec: float
    why: str


class WaitingContent(msgspec.Struct, frozen=True):
    """All that waits. `…_left_out`: the number of rows that are not shown. `note`: why something lacks.

    `permits` is None, and `streams` empty, where they are not known.
    """

    as_of_ms: int
    totals: Totals
    permits: tuple[PermitRow, ...] | None
    permits_left_out: int
    streams: tuple[StreamWaits, ...]
    cases: tuple[CaseRow, ...] | None
    cases_left_out: int
    unknown: tuple[UnknownRow, ...]
    unknown_left_out: int
    note: str = ""
