"""Lists of decisions for a page, and rows of them for a file."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterable, Mapping
from http import HTTPStatus

import msgspec

from monitoring.find.audit_index import AuditIndex
from monitoring.find.columns import Answer, Columns
from monitoring.find.query import (
    PAGE_ROWS,
    Query,
    UnreadableQueryError,
    counts_back,
    matching,
    read_query,
)
from monitoring.pacing import pause
from page.find_content import DecisionList, ListedDecision, SortLink
from store.errors import StoreError

#: A page is answered within 0.3 s; older entries are read on at the next.
_PAGE_READS_SEC = 0.15
_EXPORT_READS_SEC = 60.0
_ROWS_AT_A_TIME = 40
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

    def __init__(self, index: AuditIndex) -> None:
        self._index = index

    async def page(self, parameters: Mapping[str, str]) -> tuple[int, DecisionList]:
        """Return the status and the content of the page."""
        form = _form(Query())
        form |= {name: parameters[name][:256] for name in form if name in parameters}
        try:
            query = await self._query(parameters)
            held = await self._index.follow(query.role, _PAGE_READS_SEC)
        except UnreadableQueryError as error:
            return HTTPStatus.BAD_REQUEST, DecisionList(
                form=form, roles=self._index.roles, problem=str(error)
            )
        except StoreError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, DecisionList(
                form=form, roles=self._index.roles, problem=f"Redis cannot be read: {error}"
            )
        columns = held.columns
        anchored, query = bool(query.upto), _anchored(query, columns)
        exported = query if anchored else _unanchored(query)
        places = await matching(columns, query)
        pages = max(-(-len(places) // PAGE_ROWS), 1)
        number = min(query.page, pages)
        shown = places[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
        rows = tuple(listed(columns, shown))
        await pause()
        return HTTPStatus.OK, DecisionList(
            form=_form(query),
            roles=self._index.roles,
            total=len(places),
            held=len(columns),
            back_to_ms=held.back_to_ms,
            current=held.current,
            page=number,
            pages=pages,
            rows=rows,
            sorts=tuple(_sort_link(label, query) for label in _LABELS),
            newest=_unanchored(query).link(page=1) if anchored else "",
            previous=query.link(page=number - 1) if number > 1 else "",
            next=query.link(page=number + 1) if number < pages else "",
            csv=exported.link("/decisions.csv", page=1),
            json=exported.link("/decisions.json", page=1),
            again=not held.complete or not held.current,
        )

    async def export(self, parameters: Mapping[str, str]) -> Export:
        """Return all entries that match. Raises UnreadableQueryError, StoreError."""
        query = await self._query(parameters)
        held = await self._index.follow(query.role, _EXPORT_READS_SEC)
        places = await matching(held.columns, _anchored(query, held.columns))
        return Export(held.columns, places, held.back_to_ms)

    async def _query(self, parameters: Mapping[str, str]) -> Query:
        """Read a query, which counts back from Redis's clock unless it says from when."""
        now_ms = await self._index.redis_now_ms() if counts_back(parameters) else 0
        query = read_query(parameters, roles=self._index.roles, now_ms=now_ms)
        return query if query.as_of else msgspec.structs.replace(query, as_of=now_ms)


def _anchored(query: Query, columns: Columns) -> Query:
    """Return the query of a list that stays as it is now while entries arrive."""
    if query.upto or not len(columns):
        return query
    return msgspec.structs.replace(query, upto=columns.audit_id(len(columns) - 1))


def _unanchored(query: Query) -> Query:
    return msgspec.structs.replace(query, upto="", as_of=0)


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
    sort, query = _SORTED_BY.get(label), _unanchored(query)
    if sort is None:
        return SortLink(label, "", "")
    if sort != query.sort:
        return SortLink(label, query.link(sort=sort, order="desc", page=1), "")
    turned = "asc" if query.order == "desc" else "desc"
    return SortLink(
        label, query.link(order=turned, page=1), "descending" if query.order == "desc" else "ascending"
    )
