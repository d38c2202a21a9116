"""Queries of decisions: parameters of `/decisions`, and the entries that match, in order."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from urllib.parse import urlencode

import msgspec

from monitoring.find.columns import Answer, Columns
from monitoring.pacing import pause

SORTS = ("time", "latency", "symbol", "reason")
ANSWERS = {"": None, "allow": Answer.ALLOW, "deny": Answer.DENY}
PAGE_ROWS = 100
_TEXTS = ("symbol", "reason", "answer", "role", "since", "until", "source", "sort", "order")
_LONGEST = 256
_MOST_PAGES = 4_000
#: Entries that are compared, and values that are sorted, between two pauses: some 0.2 ms.
_AT_A_TIME, _VALUES_AT_A_TIME = 2_000, 1_500
_BACK = re.compile(r"-\s*([0-9]{1,6})\s*(s|m|min|h|d)", re.IGNORECASE)
#: An address that is typed has a space for the + of a zone.
_ZONE_AFTER_SPACE = re.compile(r"(.+[T ][0-9:.,]+) ([0-9]{2}:?[0-9]{2})")
_AUDIT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,19}")
#: The end of the year 9999, beyond which there is no date.
_LATEST_MS = 253_402_300_800_000
_UNITS_MS = {"s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class UnreadableQueryError(ValueError):
    """A parameter cannot be read; the message names it and what is expected."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A filter with its order and page, as texts of the form; `since_ms`, `until_ms` are read from them.

    `upto`: the newest entry that pages of one list show; `as_of` (ms): from when their times count back.
    """

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
    upto: str = ""
    as_of: int = 0
    since_ms: int | None = None
    until_ms: int | None = None

    def link(self, path: str = "/decisions", **changes: str | int) -> str:
        """Return the address of this query, with changes."""
        changed = msgspec.structs.replace(self, **changes)
        given = {name: getattr(changed, name) for name in (*_TEXTS, "page", "upto", "as_of")}
        plain = Query()
        texts = {name: value for name, value in given.items() if value != getattr(plain, name)}
        return f"{path}?{urlencode(texts)}" if texts else path


def counts_back(parameters: Mapping[str, str]) -> bool:
    """Return whether a query has a time back, such as -1h, of which it does not say from when."""
    return not parameters.get("as_of") and any(
        parameters.get(name, "").strip().startswith("-") for name in ("since", "until")
    )


def read_query(parameters: Mapping[str, str], *, roles: Iterable[str], now_ms: int) -> Query:
    """Read a query; unknown parameters do not count. `now_ms`: where it counts back.

    Raises UnreadableQueryError.
    """
    texts = {name: parameters.get(name, "").strip() for name in _TEXTS}
    for name, text in texts.items():
        if len(text) > _LONGEST:
            raise UnreadableQueryError(f"{name}: at most {_LONGEST} characters are expected")
    role, sort, order = texts["role"] or "p33", texts["sort"] or "time", texts["order"] or "desc"
    _one_of("answer", texts["answer"], ("", "allow", "deny"))
    _one_of("role", role, tuple(roles))
    _one_of("sort", sort, SORTS)
    _one_of("order", order, ("asc", "desc"))
    page = _number("page", parameters.get("page", "1").strip() or "1", 1, _MOST_PAGES)
    upto = parameters.get("upto", "")
    if upto and not _AUDIT_ID.fullmatch(upto):
        raise UnreadableQueryError("upto: the id of an audit entry is expected")
    as_of = _number("as_of", parameters.get("as_of", "") or "0", 0, _LATEST_MS)
    since, until = (_ZONE_AFTER_SPACE.sub(r"\1+\2", texts[name]) for name in ("since", "until"))
    return Query(
        symbol=texts["symbol"],
        reason=texts["reason"],
        answer=texts["answer"],
        role=role,
        since=since,
        until=until,
        source=texts["source"],
        sort=sort,
        order=order,
        page=page,
        upto=upto,
        as_of=as_of,
        since_ms=_moment("since", since, as_of or now_ms),
        until_ms=_moment("until", until, as_of or now_ms),
    )


async def matching(columns: Columns, query: Query) -> array[int]:
    """Return the places of the entries that match, in the order that the query asks for."""
    places = await _filtered(columns, query)
    if query.sort == "time":
        if query.order == "desc":
            places.reverse()
        return places
    return await _sorted(columns, query, places)


async def newest_of(columns: Columns, symbol: int, most: int) -> list[int]:
    """Return the places of the newest entries of a symbol, by its number."""
    found: list[int] = []
    for end in range(len(columns), 0, -_AT_A_TIME):
        some = range(end - 1, max(end - _AT_A_TIME, 0) - 1, -1)
        found += [place for place in some if columns.symbol[place] == symbol]
        if len(found) >= most:
            break
        await pause()
    return found[:most]


async def _filtered(columns: Columns, query: Query) -> array[int]:
    names = columns.names
    low, high = columns.between(query.since_ms, query.until_ms)
    if query.upto:
        high = min(high, columns.end_at(query.upto))
    wanted = [
        (column, await texts.beginning(text))
        for column, texts, text in (
            (columns.symbol, names.symbols, query.symbol),
            (columns.reason, names.reasons, query.reason),
            (columns.source, names.sources, query.source),
        )
        if text
    ]
    answer = ANSWERS[query.answer]
    # Arrays: a list of 100 000 numbers takes 3 ms to be freed.
    found = array("L")
    for begin in range(low, high, _AT_A_TIME):
        some: Iterable[int] = range(begin, min(begin + _AT_A_TIME, high))
        if answer is not None:
            some = [place for place in some if columns.answer[place] == answer]
        for column, numbers in wanted:
            some = [place for place in some if column[place] in numbers]
        found.extend(some)
        await pause()
    return found


async def _sorted(columns: Columns, query: Query, places: array[int]) -> array[int]:
    """Sort by groups of one value each, the newest first within one: no long step between checkpoints."""
    names = columns.names
    column = {"latency": columns.latency_ms, "symbol": columns.symbol, "reason": columns.reason}[query.sort]
    groups: dict[int, array[int]] = {}
    for begin in range(0, len(places), _VALUES_AT_A_TIME):
        for place in places[begin : begin + _VALUES_AT_A_TIME]:
            value = column[place]
            group = groups.get(value)
            if group is None:
                group = groups[value] = array("L")
            group.append(place)
        await pause()
    text_of = {"symbol": names.symbols.text, "reason": names.reasons.text}.get(query.sort)
    values = await _in_order(list(groups), text_of)
    if query.order == "desc":
        values.reverse()
    ordered = array("L")
    for number, value in enumerate(values):
        group = groups.pop(value)
        group.reverse()
        ordered.extend(group)
        if number % _VALUES_AT_A_TIME == 0:
            await pause()
    return ordered


async def _in_order(values: list[int], text_of: Callable[[int], str] | None) -> list[int]:
    """Sort in short steps."""
    runs: list[list[int]] = []
    for begin in range(0, len(values), _VALUES_AT_A_TIME):
        runs.append(sorted(values[begin : begin + _VALUES_AT_A_TIME], key=text_of))
        await pause()
    merging = merge(*runs, key=text_of)
    ordered: list[int] = []
    while some := list(islice(merging, _VALUES_AT_A_TIME)):
        ordered += some
        await pause()
    return ordered


def _one_of(name: str, text: str, known: tuple[str, ...]) -> None:
    if text not in known:
        expected = ", ".join(each for each in known if each)
        raise UnreadableQueryError(f"{name}: one of {expected} is expected")


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16 and least <= int(text) <= most):
        raise UnreadableQueryError(f"{name}: a number from {least} to {most} is expected")
    return int(text)


def _moment(name: str, text: str, now_ms: int) -> int | None:
    """Return epoch ms of `-1h`, or of an ISO 8601 moment, UTC unless it names its zone."""
    if not text:
        return None
    back = _BACK.fullmatch(text)
    if back:
        return now_ms - int(back[1]) * _UNITS_MS[back[2].lower()]
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return int(zoned.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UnreadableQueryError(
            f"{name}: a moment such as 2026-11-30T02:00:00Z, or a time back such as -1h, is expected"
        ) from None
