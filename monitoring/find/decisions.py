"""Lists of decisions for a page, and rows of them for a file."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterable, Mapping
from http import HTTPStatus

import msgspec

from clock import Clock
from monitoring.find.audit_index import AuditIndex
from monitoring.find.columns import Answer, Columns
from monitoring.find.query import PAGE_ROWS, Query, UnreadableQueryError, matching, read_query
from monitoring.pacing import pause
from page.find_content import DecisionList, ListedDecision, SortLink
from store.errors import StoreError

#: A page is answered within 0.3 s; older entries are read on at the next.
_PAGE_READS_SEC = 0.15
_EXPORT_READS_SEC = 60.0
_ROWS_AT_A_TIME = 100
_ANSWER_TEXTS = {Answer.ALLOW: "allow", Answer.DENY: "deny", Answer.NONE: ""}
_LABELS = ("decided, UTC", "symbol", "answer", "reason", "source", "latency", "plan")
_SORTED_BY = {"decided, UTC": "time", "symbol": "symbol", "reason": "reason", "latency": "latency"}


class Export(msgspec.Struct, frozen=True):
    """Entries of one moment that match, by their places; later entries change nothing."""

    columns: Columns
    places: array[int]
    back_to_ms: int | None

    async def slices(self) -> AsyncIterator[list[ListedDecision]]:
        """Yield the rows in slices, with a pause behind each."""
        for begin in range(0, len(self.places), _ROWS_AT_A_TIME):
            yield listed(self.columns, self.places[begin : begin + _ROWS_AT_A_TIME])
            await pause()


class Decisions:
    """Answers `/decisions` from the index."""

    def __init__(self, index: AuditIndex, clock: Clock) -> None:
        self._index = index
        self._clock = clock

    async def page(self, parameters: Mapping[str, str]) -> tuple[int, DecisionList]:
        """Return the status and the content of the page."""
        try:
            query = self._query(parameters)
        except UnreadableQueryError as error:
            form = _form(Query()) | {
                name: parameters[name][:256] for name in _form(Query()) if name in parameters
            }
            return HTTPStatus.BAD_REQUEST, DecisionList(
                form=form, roles=self._index.roles, problem=str(error)
            )
        try:
            held = await self._index.follow(query.role, _PAGE_READS_SEC)
        except StoreError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, DecisionList(
                form=_form(query), roles=self._index.roles, problem=f"Redis cannot be read: {error}"
            )
        columns, complete = held.columns, held.complete
        places = await matching(columns, query)
        pages = max(-(-len(places) // PAGE_ROWS), 1)
        number = min(query.page, pages)
        shown = places[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
        back_to_ms = None if complete or not len(columns) else columns.at_ms[0]
        return HTTPStatus.OK, DecisionList(
            form=_form(query),
            roles=self._index.roles,
            total=len(places),
            held=len(columns),
            back_to_ms=back_to_ms,
            page=number,
            pages=pages,
            rows=tuple(listed(columns, shown)),
            sorts=tuple(_sort_link(label, query) for label in _LABELS),
            previous=query.link(page=number - 1) if number > 1 else "",
            next=query.link(page=number + 1) if number < pages else "",
            csv=query.link("/decisions.csv", page=1),
            json=query.link("/decisions.json", page=1),
            again=query.link() if back_to_ms is not None else "",
        )

    async def export(self, parameters: Mapping[str, str]) -> Export:
        """Return all entries that match. Raises UnreadableQueryError, StoreError."""
        query = self._query(parameters)
        held = await self._index.follow(query.role, _EXPORT_READS_SEC)
        columns = held.columns
        back_to_ms = None if held.complete or not len(columns) else columns.at_ms[0]
        return Export(columns, array("L", await matching(columns, query)), back_to_ms)

    def _query(self, parameters: Mapping[str, str]) -> Query:
        return read_query(parameters, roles=self._index.roles, now_ms=self._clock.now().wall_ms)


def listed(columns: Columns, places: Iterable[int]) -> list[ListedDecision]:
    """Return entries as they are listed."""
    names = columns.names
    return [
        ListedDecision(
            audit_id=columns.audit_id(place),
            at_ms=columns.at_ms[place],
            plan_id=columns.plan_id[place],
            symbol=names.symbols.text(columns.symbol[place]),
            answer=_ANSWER_TEXTS[Answer(columns.answer[place])],
            reason=names.reasons.text(columns.reason[place]),
            latency_ms=None if columns.latency_ms[place] < 0 else columns.latency_ms[place],
            source=names.sources.text(columns.source[place]),
        )
        for place in places
    ]


def _form(query: Query) -> dict[str, str]:
    return {
        name: getattr(query, name)
        for name in ("symbol", "reason", "answer", "role", "since", "until", "source", "sort", "order")
    }


def _sort_link(label: str, query: Query) -> SortLink:
    sort = _SORTED_BY.get(label)
    if sort is None:
        return SortLink(label, "", "")
    if sort != query.sort:
        return SortLink(label, query.link(sort=sort, order="desc", page=1), "")
    turned = "asc" if query.order == "desc" else "desc"
    return SortLink(
        label, query.link(order=turned, page=1), "descending" if query.order == "desc" else "ascending"
    )
