"""The page of what waits as served: from Redis and channels, within a deadline, once a second at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal

import msgspec
import trio

from brain.text_fields import truncate
from channels import Channels
from clocks.clocks import Clocks
from monitoring.exposure import AccountExposure, AccountLook
from monitoring.open_permits import in_order, permit_row
from monitoring.pacing import pause
from monitoring.page_view.cache import Render
from monitoring.page_view.document_cache import DocumentCache
from monitoring.patience import PATIENCE_SEC, UnreadError, read_in_time
from monitoring.status.roles import RolesSource
from page.act_content import Forms
from page.permit_content import PermitRow
from page.waiting_content import (
    CaseRow,
    LetterRow,
    PendingRow,
    StreamWaits,
    Totals,
    UnknownRow,
    WaitingContent,
)
from page.words import duration, moment
from store.records import SymbolState
from store.waiting_protocol import WaitingStore
from store.waiting_records import DeadEntry, PendingEntry, StreamWaiting, Waiting

_AT_A_TIME = 100
_MOST_ROWS = 100
_MOST_CASES = 50
_LONGEST = 200


class WaitingView:
    """Reads what waits, and renders it for all who look. Made once."""

    def __init__(
        self,
        store: WaitingStore,
        channels: Channels,
        clocks: Clocks,
        roles: RolesSource,
        account: AccountExposure,
        *,
        waits: Callable[[], Sequence[tuple[str, str]]],
        render: Render,
    ) -> None:
        """`waits`: the waits of the tree, as (path, dependency)."""
        self._store = store
        self._channels = channels
        self._clocks = clocks
        self._roles = roles
        self._account = account
        self._waits = waits
        self._render = render
        self._documents = DocumentCache[bytes](clocks)

    async def document(self, forms: Forms | None = None) -> bytes:
        """Return the page, less than a second old."""

        async def make() -> bytes:
            return await self._render("waiting.html", await self.content(), forms=forms)

        return await self._documents.document(make, forms)

    async def content(self) -> WaitingContent:
        """Return all that waits, as of now."""
        waiting: Waiting | None = None
        permits: dict[str, SymbolState] | None = None
        with trio.move_on_after(PATIENCE_SEC):
            with suppress(UnreadError):
                waiting = await read_in_time(self._store.waiting())
            with suppress(UnreadError):
                permits = await read_in_time(self._store.open_permits(self._symbols()))
        now_ms = self._clocks.now().wall_ms if waiting is None else waiting.now_ms
        rows = None if permits is None else await _permits(permits, now_ms)
        unknown = tuple(self._unknown())
        cases = self._cases()
        streams = () if waiting is None else (("plans", waiting.plans), ("results", waiting.results))
        return WaitingContent(
            as_of_ms=now_ms,
            totals=_totals(await self._account.look(pause)),
            permits=None if rows is None else tuple(rows[:_MOST_ROWS]),
            permits_left_out=max(len(rows or ()) - _MOST_ROWS, 0),
            streams=tuple(_stream(name, stream) for name, stream in streams),
            cases=None if cases is None else cases[:_MOST_CASES],
            cases_left_out=max(len(cases or ()) - _MOST_CASES, 0),
            unknown=unknown[:_MOST_ROWS],
            unknown_left_out=max(len(unknown) - _MOST_ROWS, 0),
            note=_note(permits=permits is not None, streams=waiting is not None),
        )

    def _symbols(self) -> list[str]:
        """Return the symbols that may have open permits."""
        allowlist = self._channels.allowlist.value
        allowed = () if allowlist is None else allowlist.symbols
        return list(dict.fromkeys((*self._channels.book.symbols(), *sorted(allowed))))

    def _unknown(self) -> Iterator[UnknownRow]:
        channels, now_sec = self._channels, self._clocks.now().monotonic_sec
        for each in channels.unknown_executions.value or ():
            if each.ends_at_sec > now_sec:
                since, left = moment(each.since_ms), duration(each.ends_at_sec - now_sec)
                yield UnknownRow(
                    each.symbol, each.plan_id, f"execution unknown since {since}, ends in {left}"
                )
        undecided = None if channels.open_executions is None else channels.open_executions.value
        for order in undecided or ():
            what = f"order {order.client_order_id} undecided for {duration(order.age_sec)}"
            yield UnknownRow(order.symbol, order.plan_id, what)
        for result in channels.waiting_results.value or ():
            yield UnknownRow(result.symbol, result.plan_id, f"result {result.entry_id} waits: {result.why}")

    def _cases(self) -> tuple[CaseRow, ...] | None:
        """Return the open cases; None without a reconcile engine."""
        shown = self._roles.shown(self._waits())
        if isinstance(shown, msgspec.UnsetType) or isinstance(shown.reconcile, msgspec.UnsetType):
            return None
        return tuple(
            CaseRow(each.symbol, each.status, each.difference, each.for_sec, each.why)
            for each in shown.reconcile.cases
        )


def _note(*, permits: bool, streams: bool) -> str:
    """Return a sentence on what is not known; empty where both are."""
    match permits, streams:
        case True, True:
            return ""
        case True, False:
            unknown = "What waits on the streams is"
        case False, True:
            unknown = "Open permits are"
        case _:
            unknown = "Open permits and what waits on the streams are"
    return f"{unknown} not known: Redis does not answer."


def _totals(look: AccountLook) -> Totals:
    total, known = look.exposure, look.oldest_age_sec is not None
    return Totals(
        gross=_money(total.gross) if known else None,
        net=_money(total.net) if known else None,
        profit=_money(total.profit) if known else None,
        positions=look.positions,
        unpriced=total.unpriced,
        symbols=look.symbols,
        missing=look.missing,
        stale=look.stale,
        whole=look.is_whole,
    )


async def _permits(permits: Mapping[str, SymbolState], now_ms: int) -> list[PermitRow]:
    """Return the open permits; those that cannot be read first, then by their end."""
    rows: list[PermitRow] = []
    for symbol, state in permits.items():
        for plan_id, text in state.permits:
            rows.append(permit_row(symbol, plan_id, text, now_ms))
            if len(rows) % _AT_A_TIME == 0:
                await pause()
    return in_order(rows)


def _stream(name: str, waiting: StreamWaiting) -> StreamWaits:
    return StreamWaits(
        name=name,
        pending=waiting.pending,
        rows=tuple(map(_pending, waiting.oldest)),
        letters=waiting.letters,
        newest=tuple(map(_letter, waiting.newest)),
        error=waiting.error[:_LONGEST],
    )


def _pending(entry: PendingEntry) -> PendingRow:
    fields = entry.fields
    return PendingRow(
        entry_id=entry.id,
        symbol="deleted" if fields is None else _text(fields.get(b"symbol", b"")),
        plan_id=_text((fields or {}).get(b"plan_id", b"")),
        consumer=_text(entry.consumer),
        idle_sec=entry.idle_ms / 1000,
        deliveries=entry.deliveries,
    )


def _letter(entry: DeadEntry) -> LetterRow:
    fields = tuple((_text(name), _text(value)) for name, value in entry.fields.items() if name != b"error")
    at_ms = int(entry.id.partition("-")[0])
    error = _text(entry.fields.get(b"error", b"no error given"))
    return LetterRow(entry.id, at_ms if at_ms < _LATEST_MS else None, error, fields)


#: The end of the year 9999, beyond which there is no date.
_LATEST_MS = 253_402_300_800_000


def _text(value: bytes) -> str:
    return truncate(value, _LONGEST)


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"
