"""Queries of decisions: parameters of `/decisions`, and the entries that match, in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec

from monitoring.find.columns import Answer, Columns
from monitoring.pacing import pause

SORTS = ("time", "latency", "symbol", "reason")
ANSWERS = {"": None, "allow": Answer.ALLOW, "deny": Answer.DENY}
PAGE_ROWS = 100
_LONGEST = 256
_MOST_PAGES = 4_000
#: Entries that are compared between two pauses: some 0.3 ms.
_AT_A_TIME = 4_000
_BACK = re.compile(r"-\s*([0-9]{1,6})\s*(s|m|min|h|d)")
_UNITS_MS = {"s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class UnreadableQueryError(ValueError):
    """A parameter cannot be read; the message names it and what is expected."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A filter with its order and page, as texts of the form; `since_ms`, `until_ms` are read from them."""

    symbol: str = ""
    reason: str = ""
    answer: str = ""
    role: str = "p33"
    since: str = ""
    until: str = ""
    source: str = ""
    sort: str = "time"
    order: str = "desc"
    page: int = 1
    since_ms: int | None = None
    until_ms: int | None = None

    def link(self, path: str = "/decisions", **changes: str | int) -> str:
        """Return the address of this query, with changes."""
        changed = msgspec.structs.replace(self, **changes)
        names = ("symbol", "reason", "answer", "role", "since", "until", "source", "sort", "order", "page")
        given = {name: getattr(changed, name) for name in names}
        plain = Query()
        texts = {name: value for name, value in given.items() if value != getattr(plain, name)}
        return f"{path}?{urlencode(texts)}" if texts else path


def read_query(parameters: Mapping[str, str], *, roles: Iterable[str], now_ms: int) -> Query:
    """Read a query; unknown parameters do not count. Raises UnreadableQueryError."""
    texts = {
        name: parameters.get(name, "").strip()
        for name in ("symbol", "reason", "answer", "role", "since", "until", "source", "sort", "order")
    }
    for name, text in texts.items():
        if len(text) > _LONGEST:
            raise UnreadableQueryError(f"{name}: at most {_LONGEST} characters are expected")
    role, sort, order = texts["role"] or "p33", texts["sort"] or "time", texts["order"] or "desc"
    _one_of("answer", texts["answer"], ("", "allow", "deny"))
    _one_of("role", role, tuple(roles))
    _one_of("sort", sort, SORTS)
    _one_of("order", order, ("asc", "desc"))
    page = parameters.get("page", "1").strip() or "1"
    if not (page.isascii() and page.isdigit() and len(page) < 6 and 1 <= int(page) <= _MOST_PAGES):
        raise UnreadableQueryError(f"page: a number from 1 to {_MOST_PAGES} is expected")
    return Query(
        symbol=texts["symbol"],
        reason=texts["reason"],
        answer=texts["answer"],
        role=role,
        since=texts["since"],
        until=texts["until"],
        source=texts["source"],
        sort=sort,
        order=order,
        page=int(page),
        since_ms=_moment("since", texts["since"], now_ms),
        until_ms=_moment("until", texts["until"], now_ms),
    )


async def matching(columns: Columns, query: Query) -> list[int]:
    """Return the places of the entries that match, in the order that the query asks for."""
    places = await _filtered(columns, query)
    if query.sort == "time":
        if query.order == "desc":
            places.reverse()
        return places
    return await _sorted(columns, query, places)


async def _filtered(columns: Columns, query: Query) -> list[int]:
    names = columns.names
    low, high = columns.between(query.since_ms, query.until_ms)
    wanted = [
        (column, texts.beginning(text))
        for column, texts, text in (
            (columns.symbol, names.symbols, query.symbol),
            (columns.reason, names.reasons, query.reason),
            (columns.source, names.sources, query.source),
        )
        if text
    ]
    answer = ANSWERS[query.answer]
    found: list[int] = []
    for begin in range(low, high, _AT_A_TIME):
        some: Iterable[int] = range(begin, min(begin + _AT_A_TIME, high))
        if answer is not None:
            some = [place for place in some if columns.answer[place] == answer]
        for column, numbers in wanted:
            some = [place for place in some if column[place] in numbers]
        found.extend(some)
        await pause()
    return found


async def _sorted(columns: Columns, query: Query, places: list[int]) -> list[int]:
    """Sort by groups of one value each, the newest first within one: no long step between checkpoints."""
    names = columns.names
    column = {"latency": columns.latency_ms, "symbol": columns.symbol, "reason": columns.reason}[query.sort]
    groups: dict[int, list[int]] = {}
    for begin in range(0, len(places), _AT_A_TIME):
        for place in places[begin : begin + _AT_A_TIME]:
            groups.setdefault(column[place], []).append(place)
        await pause()
    text_of = {"symbol": names.symbols.text, "reason": names.reasons.text}.get(query.sort)
    values = sorted(groups) if text_of is None else sorted(groups, key=text_of)
    if query.order == "desc":
        values.reverse()
    ordered: list[int] = []
    for number, value in enumerate(values):
        groups[value].reverse()
        ordered += groups[value]
        if number % 500 == 0:
            await pause()
    return ordered


def _one_of(name: str, text: str, known: tuple[str, ...]) -> None:
    if text not in known:
        expected = ", ".join(each for each in known if each)
        raise UnreadableQueryError(f"{name}: one of {expected} is expected")


def _moment(name: str, text: str, now_ms: int) -> int | None:
    """Return epoch ms of `-1h`, or of an ISO 8601 moment, UTC unless it names its zone."""
    if not text:
        return None
    back = _BACK.fullmatch(text)
    if back:
        return now_ms - int(back[1]) * _UNITS_MS[back[2]]
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return int(zoned.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UnreadableQueryError(
            f"{name}: a moment such as 2026-11-30T02:00:00Z, or a time back such as -1h, is expected"
        ) from None
