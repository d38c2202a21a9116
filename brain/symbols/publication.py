"""Judgement on a read of the exchange's listing: what is published, or why the previous list stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

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
    active: bytes | None = None
    closing: bytes | None = None
    stale: bool = False
    error: str = ""


class Listing(msgspec.Struct, frozen=True):
    """Contracts as read, with the exchange's clock (epoch ms) of the read, and the volumes then known.

    `unreadable`: names of contracts that could not be read, "" for one whose name could not.
    """

    contracts: tuple[ListedContract, ...]
    exchange_ms: int
    volumes: Mapping[str, Decimal] | None = None
    unreadable: frozenset[str] = frozenset()

    def lost(self, symbols: set[str]) -> list[str]:
        """Return those, sorted, that the exchange does not trade; what could not be read may trade."""
        if "" in self.unreadable:
            return []
        may_trade = {each.symbol for each in self.contracts if each.may_trade}
        return sorted(symbols - may_trade - self.unreadable)


class ShrunkReads(msgspec.Struct, frozen=True):
    """Row of reads of a list that shrank: how many, and the list of the first, kept when the row ends.

    A read belongs to the row while its list is that one, within the allowed share of symbols. A refresh with
    any other outcome ends the row.
    """

    reads: int = 0
    symbols: frozenset[str] = frozenset()

    def next(self, symbols: frozenset[str], *, kept_share: Decimal, counts: bool) -> ShrunkReads:
        """Return the row with this read; one that does not count by itself may still begin a row."""
        if not self.shows(symbols, kept_share):
            return ShrunkReads(1, symbols)
        return ShrunkReads(self.reads + 1, self.symbols) if counts or self.reads == 0 else self

    def shows(self, symbols: frozenset[str], kept_share: Decimal) -> bool:
        """Return True if these are the symbols of the row, within the allowed share."""
        longer = max(len(self.symbols), len(symbols))
        return len(self.symbols & symbols) >= longer * kept_share and bool(self.symbols)

    def ended(self) -> ShrunkReads:
        """Return no row, with the list of this one."""
        return ShrunkReads(0, self.symbols)


NO_READS: Final = ShrunkReads()


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome with the new list, if any. `error` is empty for a publication; `shrunk_by` symbols are gone.

    `shrunk`: the row of reads after this one.
    """

    outcome: Outcome
    universe: Universe | None = None
    ends: Mapping[str, int] = {}
    error: str = ""
    shrunk_by: int = 0
    shrunk: ShrunkReads = NO_READS
    changes: tuple[tuple[Change, str], ...] = ()


def judge(
    listing: Listing,
    stored: Stored,
    rules: UniverseRules,
    *,
    shrunk: ShrunkReads = NO_READS,
    counts: bool = True,
) -> Judgement:
    """Judge a read of the listing.

    `shrunk`: the row of reads before this one. `counts`: this one counts if it belongs to the row.
    """
    ends = announced_ends(listing.contracts, now_ms=listing.exchange_ms)
    universe = choose_universe(listing.contracts, rules, volumes=listing.volumes, now_ms=listing.exchange_ms)
    if not universe.symbols:
        return not_published(Outcome.VALIDATION_FAILED, _why_empty(listing), stored, shrunk)
    last = last_good(stored, rules)
    lost = 0 if last is None else shrunk_by(last, universe, listing.contracts, rules)
    if last is not None and lost:
        row = shrunk.next(frozenset(universe.symbols), kept_share=_kept_share(rules), counts=counts)
        if row.reads < READS_OF_A_SHRUNK_LIST:
            return _shrank(
                f"{lost} of {len(last.symbols)} symbols are gone",
                lost,
                stored,
                row,
                known=row.symbols == shrunk.symbols,
            )
    return Judgement(
        outcome=Outcome.PUBLISHED,
        universe=universe,
        ends=ends,
        shrunk_by=lost,
        changes=tuple(_changes(last, universe, listing, ends, stored, rules)),
    )


def _shrank(why: str, lost: int, stored: Stored, row: ShrunkReads, *, known: bool) -> Judgement:
    """Return the judgement on a shrunk list; `known`: a read before showed the same one."""
    refused = not_published(Outcome.SHRANK, why, stored, row)
    begun = () if known or stored.error.startswith(Outcome.SHRANK) else ((Change.SHRUNK, ""),)
    changes = (*begun, *refused.changes)
    return msgspec.structs.replace(refused, shrunk_by=lost, shrunk=row, changes=changes)


def not_published(outcome: Outcome, why: str, stored: Stored, shrunk: ShrunkReads = NO_READS) -> Judgement:
    """Return the judgement that leaves the previous list in place, stale from now on."""
    changes = () if stored.stale else ((Change.STALE, ""),)
    return Judgement(outcome=outcome, error=f"{outcome}: {why}"[:500], shrunk=shrunk.ended(), changes=changes)


def is_repeated(judgement: Judgement, last: Judgement | None) -> bool:
    """Return True if a judgement publishes the list of the last one, or none for the same cause."""
    return (
        last is not None
        and judgement.outcome is last.outcome
        and judgement.universe == last.universe
        and judgement.error == last.error
    )


def last_good(stored: Stored, rules: UniverseRules) -> StoredList | None:
    """Return the last good list, in its absence the active one; None for one of the other exchange."""
    last = read_list(stored.last_ok) or read_list(stored.active)
    return None if last is None or last.mode not in ("", rules.mode) else last


def shrunk_by(
    last: StoredList, universe: Universe, contracts: Iterable[ListedContract], rules: UniverseRules
) -> int:
    """Return how many symbols the list has lost, 0 where that is within the allowed share.

    Symbols that other settings than those of the last good list leave out, or volumes that were not known
    then, do not count.
    """
    kept_share = _kept_share(rules)
    before, now = set(last.symbols), set(universe.symbols)
    if len(now) >= len(before) * kept_share:
        return 0
    if (last.filters, last.ranked_by) != (filters_of(rules), universe.ranked_by):
        left_out = {each.symbol for each in contracts if each.trades} - now
        before = {symbol for symbol in before - left_out if rules.permit_name(symbol)}
        now &= before
    return len(before) - len(now) if len(now) < len(before) * kept_share else 0


def _kept_share(rules: UniverseRules) -> Decimal:
    return 1 - rules.max_shrink_pct / 100


def _why_empty(listing: Listing) -> str:
    unreadable = f", {len(listing.unreadable)} unreadable" if listing.unreadable else ""
    return f"no symbol passes the filters: {len(listing.contracts)} contracts listed{unreadable}"


def _changes(
    last: StoredList | None,
    universe: Universe,
    listing: Listing,
    ends: Mapping[str, int],
    stored: Stored,
    rules: UniverseRules,
) -> Iterator[tuple[Change, str]]:
    """Yield the events of a publication; a first one has no list to differ from."""
    if stored.stale:
        yield Change.RECOVERED, ""
    known = read_ends(stored.closing)
    if last is not None:
        before = set(last.symbols)
        ended = {symbol for symbol in known.keys() - ends.keys() if rules.permit_name(symbol)}
        yield from ((Change.LISTED, symbol) for symbol in universe.symbols if symbol not in before)
        yield from ((Change.DELISTED, symbol) for symbol in listing.lost(before | ended))
    yield from ((Change.CLOSING, symbol) for symbol in ends if symbol not in known)
