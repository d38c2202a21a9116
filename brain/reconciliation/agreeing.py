"""Agreements of position and ledger: the moments from which on trades are evidence of a later difference.

1. An agreement says: the ledger contains all trades until then. Equal amounts alone do not say it: an own
   fill that no result has booked and an outside trade can make nothing together.
2. So while the ledger is as it was, a later agreement says no more than the first one. What was traded in
   between makes nothing, and none of it is booked: it stays evidence.
3. The same holds of a ledger that was seen to differ, and has not moved since: the exchange alone has moved.
   What came back so, or part of the way, may hide an own fill: for an hour bookings do not end that
   agreement, since each is remembered with its order. A correction by hand does, and another ledger.
4. A ledger that was set to the exchange's amounts since it differed, by a person or by an adoption, agrees
   at once, whatever is in flight: it contains what was traded until then. One that a person has set to the
   amounts that were compared last, while the exchange moved on, agreed then.
5. Where the ledger has moved else, both have to be equal for `settle_sec` without a break, and no order of
   the symbol may be in flight: what one of its results books breaks the equality within that time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from brain.identifiers import Symbol
from brain.ledger.ledger import StoredLedger
from brain.numbers import EXACT, NotANumberError, parse_decimal
from brain.reconciliation.agreed import Agreed, amounts_of, has_amounts, is_before

#: So long an agreement outlasts bookings, where the exchange has come back (ms).
_KEPT_MS = 3_600_000


class _Candidate(NamedTuple):
    agreed: Agreed
    since_sec: float


class _Apart(NamedTuple):
    """A ledger that differs, and the exchange's amounts as a ledger that agrees would have them.

    `at_ms`: until then the exchange's amounts contain every trade (its clock). `moved`: the ledger has moved
    since.
    """

    stored: StoredLedger
    version: str | None
    exchange: str
    at_ms: int
    moved: bool = False


class Agreements:
    """The latest agreement of each symbol. Bookings raise a ledger's version, and keep what agreed.

    An agreement counts until the ledger goes back to an earlier version. After a break of Redis, which may
    have lost writes unseen, it counts while version and amounts are the same.
    """

    def __init__(self, settle_sec: float) -> None:
        self._settle_sec = settle_sec
        self._agreed: dict[Symbol, Agreed] = {}
        self._before_break: dict[Symbol, Agreed] = {}
        self._candidates: dict[Symbol, _Candidate] = {}
        #: Ledgers that were seen to differ last.
        self._apart: dict[Symbol, _Apart] = {}
        #: Symbols of which the exchange has come back towards the ledger since their agreement.
        self._came_back: set[Symbol] = set()
        #: Symbols whose ledger has moved since their agreement.
        self._moved: set[Symbol] = set()

    def get(self, symbol: Symbol) -> Agreed | None:
        """Return the latest agreement that was seen; None for none."""
        return self._agreed.get(symbol)

    def drop(self) -> None:
        """Forget what the ledgers' versions rest on: Redis may be another one, or have lost writes."""
        self._before_break |= self._agreed
        self._agreed.clear()
        self._candidates.clear()
        self._moved.clear()

    def agree(self, symbol: Symbol, seen: Agreed, now_sec: float) -> None:
        """Take in that both are equal and no order is in flight; `now_sec` only ever grows.

        The first sight of a symbol counts at once. The version of one that is `apart` has to have been read.
        """
        known = self._agreed.get(symbol)
        if self.was_set(symbol, seen):
            self._take(symbol, seen)
        elif self._is_as_it_differed(symbol, seen):
            self._came_back.add(symbol)
            self._candidates.pop(symbol, None)
        elif known is None:
            self._take(symbol, seen)
        elif self._is_as_before(symbol, known, seen):
            self._candidates.pop(symbol, None)
            self._agreed[symbol] = known._replace(version=known.version or seen.version)
        elif (waits := self._candidates.get(symbol)) is None or waits.agreed.amounts != seen.amounts:
            self._candidates[symbol] = _Candidate(seen, now_sec)
        elif now_sec - waits.since_sec >= self._settle_sec:
            if symbol not in self._came_back or _ends(known, seen):
                self._take(symbol, waits.agreed._replace(version=seen.version))
            elif seen.version is not None:
                self._agreed[symbol] = known._replace(amounts=seen.amounts, version=seen.version)
                self._settle(symbol)

    def rests(self, symbol: Symbol, seen: Agreed) -> bool:
        """Return True if another sight of the same would change nothing, however often it comes."""
        known = self._agreed.get(symbol)
        if known is None or symbol in self._apart or symbol in self._candidates:
            return False
        is_version_known = known.version is not None or seen.version is None
        return is_version_known and self._is_as_before(symbol, known, seen)

    def was_set(self, symbol: Symbol, seen: Agreed) -> bool:
        """Return True for a ledger that differed, and was corrected by hand or adopted since.

        A correction keeps the version; an adoption begins anew, and follows a ledger without amounts.
        """
        apart = self._apart.get(symbol)
        if apart is None or seen.version is None:
            return False
        if apart.version is None:
            return apart.stored.last_known_amt is None
        if seen.version == apart.version:
            return not has_amounts(apart.stored, seen.amounts)
        return is_before(seen.version, apart.version)

    def interrupt(self, symbol: Symbol) -> None:
        """Take in that they differ, or that an order is in flight: what follows is another agreement."""
        self._candidates.pop(symbol, None)

    def differ(
        self, symbol: Symbol, stored: StoredLedger, version: str | None, exchange: str, at_ms: int
    ) -> None:
        """Take in a ledger that differs, as stored.

        `exchange`: the amounts of one that would agree, which contain every trade until `at_ms`.
        """
        self._candidates.pop(symbol, None)
        before = self._apart.get(symbol)
        if before is not None and _was_corrected(before, stored, version):
            self._take(symbol, Agreed(before.at_ms, before.exchange, version))
            before = None
        self._apart[symbol] = _Apart(stored, version, exchange, at_ms)
        if before is not None and _came_nearer(before.stored, before.exchange, exchange):
            self._came_back.add(symbol)

    def apart(self) -> Collection[Symbol]:
        """Return the symbols that differed last, or agree by the exchange's move: versions tell."""
        return self._apart.keys()

    def move(self, symbol: Symbol) -> None:
        """Take in that the ledger has moved."""
        self._candidates.pop(symbol, None)
        if (apart := self._apart.get(symbol)) is not None:
            self._apart[symbol] = apart._replace(moved=True)
        if symbol in self._agreed:
            self._moved.add(symbol)

    def view(self, symbol: Symbol, stored: StoredLedger, version: str | None, noted: Agreed | None) -> None:
        """Take in a ledger as stored, with the agreement that is `noted` of it."""
        known = self._agreed.get(symbol)
        before = self._of_before_break(symbol, stored, version)
        goes_on = noted if noted is not None and _goes_on(noted, stored, version) else None
        if known is None and before is not None and (goes_on is None or goes_on.at_ms <= before.at_ms):
            self._agreed[symbol] = before
        elif known is None and goes_on is not None:
            # Another process, or this one before a break, goes on here.
            self._agreed[symbol] = goes_on
            if goes_on.version != version:
                # By bookings, or by a correction too, which contains what was traded until then.
                self._moved.add(symbol)
        if known is None or symbol in self._moved:
            return
        if not has_amounts(stored, known.amounts):
            self.move(symbol)
            return
        if known.version is None:
            known = known._replace(version=version)
        for earlier in (noted, self._before_break.get(symbol)):
            if earlier is None or earlier.version is None or earlier.at_ms >= known.at_ms:
                continue
            if (earlier.amounts, earlier.version) == (known.amounts, known.version):
                known = earlier
        self._agreed[symbol] = known

    def latest(
        self, symbol: Symbol, stored: StoredLedger, version: str | None, noted: Agreed | None
    ) -> Agreed | None:
        """Return the latest agreement that counts for a ledger as stored; None for none."""
        seen = self._agreed.get(symbol)
        if seen is not None and (seen.version is None or not is_before(version, seen.version)):
            return seen
        before = self._of_before_break(symbol, stored, version)
        if noted is None or not _counts(noted, version):
            return before
        return noted if before is None or noted.at_ms > before.at_ms else before

    def _of_before_break(self, symbol: Symbol, stored: StoredLedger, version: str | None) -> Agreed | None:
        """Return the agreement of before the latest break, if the ledger is the same."""
        before = self._before_break.get(symbol)
        if before is None or before.version is None or before.version != version:
            return None
        return before if has_amounts(stored, before.amounts) else None

    def _take(self, symbol: Symbol, seen: Agreed) -> None:
        self._agreed[symbol] = seen._replace(began=seen.amounts)
        self._came_back.discard(symbol)
        self._settle(symbol)

    def _settle(self, symbol: Symbol) -> None:
        self._candidates.pop(symbol, None)
        self._apart.pop(symbol, None)
        self._moved.discard(symbol)

    def _is_as_it_differed(self, symbol: Symbol, seen: Agreed) -> bool:
        """Return True for a ledger that differed and is not known to have moved since.

        After a booking the exchange is where it was seen, unless it has moved, too.
        """
        apart = self._apart.get(symbol)
        if apart is None:
            return False
        is_version = seen.version == apart.version
        if is_version and not apart.moved and has_amounts(apart.stored, seen.amounts):
            return True
        if _came_nearer(apart.stored, apart.exchange, seen.amounts):
            self._came_back.add(symbol)
        self.move(symbol)
        del self._apart[symbol]
        return False

    def _is_as_before(self, symbol: Symbol, known: Agreed, seen: Agreed) -> bool:
        """Return True unless the ledger has moved since the agreement, or is another one."""
        if symbol in self._moved or seen.amounts != known.amounts:
            return False
        return None in (known.version, seen.version) or not is_before(seen.version, known.version or "")


def _counts(noted: Agreed, version: str | None) -> bool:
    """Return True for a ledger of the noted version or a later one."""
    return noted.version is not None and not is_before(version, noted.version)


def _goes_on(noted: Agreed, stored: StoredLedger, version: str | None) -> bool:
    """Return True unless the ledger is an earlier one, or was set by hand since, which keeps the version."""
    if not noted.amounts or not _counts(noted, version):
        return False
    return noted.version != version or has_amounts(stored, noted.amounts)


def _ends(known: Agreed, seen: Agreed) -> bool:
    """Return True for a correction by hand (it keeps the version), for another ledger, and after an hour."""
    if seen.at_ms - known.at_ms >= _KEPT_MS:
        return True
    if seen.version is None or known.version is None:
        return False
    return seen.version == known.version or is_before(seen.version, known.version)


def _was_corrected(before: _Apart, stored: StoredLedger, version: str | None) -> bool:
    """Return True for a ledger that was set by hand to the exchange's amounts as they were compared last."""
    if version is None or version != before.version or amounts_of(stored) == amounts_of(before.stored):
        return False
    return has_amounts(stored, before.exchange) and not has_amounts(before.stored, before.exchange)


def _came_nearer(stored: StoredLedger, before: str, exchange: str) -> bool:
    """Return True if an amount of the exchange has moved towards, or beyond, that of a ledger as stored."""
    for text, was, now in zip(amounts_of(stored), before.split("|"), exchange.split("|"), strict=False):
        try:
            ledger = parse_decimal(text)
            difference = EXACT.subtract(parse_decimal(was), ledger)
            moved = EXACT.subtract(parse_decimal(now), parse_decimal(was))
        except NotANumberError:
            return True
        if difference and moved and (difference > 0) != (moved > 0):
            return True
    return False
