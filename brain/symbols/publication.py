"""Judgement on a read of the exchange's listing: what is published, or why the previous list stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.symbols.universe import ListedContract, Universe, UniverseRules, announced_ends, choose_universe
from brain.symbols.universe_text import StoredList, filters_of, read_ends, read_list

#: So many reads in a row must show a list that shrank, before it is published.
READS_OF_A_SHRUNK_LIST = 3


class Outcome(StrEnum):
    """Result of one refresh."""

    PUBLISHED = "published"
    FETCH_FAILED = "fetch_failed"
    VALIDATION_FAILED = "validation_failed"
    SHRANK = "shrank"


class Change(StrEnum):
    """Event of the universe: of a symbol the first three, of the whole list the others."""

    LISTED = "LISTED"
    DELISTED = "DELISTED"
    CLOSING = "CLOSING"
    SHRUNK = "SHRUNK"
    STALE = "STALE"
    RECOVERED = "RECOVERED"


class Stored(msgspec.Struct, frozen=True):
    """Publication that Redis holds: raw texts, and what its meta says."""

    last_ok: bytes | None = None
    closing: bytes | None = None
    stale: bool = False
    error: str = ""


class Listing(msgspec.Struct, frozen=True):
    """Contracts as read, with the exchange's clock (epoch ms) of the read, and the volumes then known.

    `unreadable`: the number of contracts that could not be read.
    """

    contracts: tuple[ListedContract, ...]
    exchange_ms: int
    volumes: Mapping[str, Decimal] | None = None
    unreadable: int = 0


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome with the new list, if any. `error` is empty for a publication; `shrunk_by` symbols are gone."""

    outcome: Outcome
    universe: Universe | None = None
    ends: Mapping[str, int] = {}
    error: str = ""
    shrunk_by: int = 0
    changes: tuple[tuple[Change, str], ...] = ()


def judge(listing: Listing, stored: Stored, rules: UniverseRules, *, shrunk_reads: int) -> Judgement:
    """Judge a read of the listing.

    `shrunk_reads`: reads in a row that showed a list that shrank, if this one does, with this one.
    """
    ends = announced_ends(listing.contracts)
    universe = choose_universe(listing.contracts, rules, volumes=listing.volumes, now_ms=listing.exchange_ms)
    if not universe.symbols:
        return not_published(Outcome.VALIDATION_FAILED, _why_empty(listing), stored)
    last = last_good(stored, rules)
    lost = 0 if last is None else shrunk_by(last, universe, listing.contracts, rules)
    if lost and shrunk_reads < READS_OF_A_SHRUNK_LIST:
        why = f"{lost} of {len(last.symbols) if last else 0} symbols are gone"
        refused = not_published(Outcome.SHRANK, why, stored)
        begun = () if stored.error.startswith(Outcome.SHRANK) else ((Change.SHRUNK, ""),)
        return msgspec.structs.replace(refused, shrunk_by=lost, changes=(*begun, *refused.changes))
    return Judgement(
        outcome=Outcome.PUBLISHED,
        universe=universe,
        ends=ends,
        shrunk_by=lost,
        changes=tuple(_changes(last, universe, listing.contracts, ends, stored)),
    )


def not_published(outcome: Outcome, why: str, stored: Stored) -> Judgement:
    """Return the judgement that leaves the previous list in place, stale from now on."""
    changes = () if stored.stale or stored.last_ok is None else ((Change.STALE, ""),)
    return Judgement(outcome=outcome, error=f"{outcome}: {why}"[:500], changes=changes)


def last_good(stored: Stored, rules: UniverseRules) -> StoredList | None:
    """Return the last good list; None where there is none that can be read, or of the other exchange."""
    last = read_list(stored.last_ok)
    return None if last is None or last.mode not in ("", rules.mode) else last


def shrunk_by(
    last: StoredList, universe: Universe, contracts: Iterable[ListedContract], rules: UniverseRules
) -> int:
    """Return how many symbols the list has lost, 0 where that is within the allowed share.

    Symbols that other settings than those of the last good list leave out, or volumes that were not known
    then, do not count.
    """
    kept_share = 1 - rules.max_shrink_pct / 100
    before, now = set(last.symbols), set(universe.symbols)
    if len(now) >= len(before) * kept_share:
        return 0
    if (last.filters, last.ranked_by) != (filters_of(rules), universe.ranked_by):
        left_out = {each.symbol for each in contracts if each.trades} - now
        before = {symbol for symbol in before - left_out if rules.permit_name(symbol)}
        now &= before
    return len(before) - len(now) if len(now) < len(before) * kept_share else 0


def _why_empty(listing: Listing) -> str:
    unreadable = f", {listing.unreadable} unreadable" if listing.unreadable else ""
    return f"no symbol passes the filters: {len(listing.contracts)} contracts listed{unreadable}"


def _changes(
    last: StoredList | None,
    universe: Universe,
    contracts: Iterable[ListedContract],
    ends: Mapping[str, int],
    stored: Stored,
) -> Iterator[tuple[Change, str]]:
    """Yield the events of a publication; a first one has no list to differ from."""
    if stored.stale:
        yield Change.RECOVERED, ""
    if last is not None:
        before = set(last.symbols)
        trading = {each.symbol for each in contracts if each.trades}
        yield from ((Change.LISTED, symbol) for symbol in universe.symbols if symbol not in before)
        yield from ((Change.DELISTED, symbol) for symbol in sorted(before - trading))
    known = read_ends(stored.closing)
    yield from ((Change.CLOSING, symbol) for symbol in ends if symbol not in known)
