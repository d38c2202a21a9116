"""Moments at which position and ledger of a symbol were seen to agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from brain.identifiers import Symbol
from store.reconcile_records import Agreement, ExpectedLedger, ReconcileView


class _Seen(NamedTuple):
    """An agreement (the exchange's clock, ms), with the ledger's amounts and its version, None if unknown."""

    at_ms: int
    ledger: ExpectedLedger
    version: str | None


class Agreements:
    """The latest agreement of each symbol, and which of them Redis has, too.

    Bookings raise a ledger's version, and keep what agreed: an agreement counts until the ledger goes back to
    an earlier version. After a break of Redis, which may have lost writes unseen, it counts while version and
    amounts are the same.
    """

    def __init__(self) -> None:
        self._seen: dict[Symbol, _Seen] = {}
        self._before_break: dict[Symbol, _Seen] = {}
        #: Versions of ledgers that agreed when they were read, and those noted in Redis, with their amounts:
        #: an operator's correction raises no version.
        self._versions: dict[Symbol, str] = {}
        self._noted: dict[Symbol, tuple[str, ExpectedLedger]] = {}
        #: Symbols of which Redis has a state.
        self._in_redis: set[Symbol] = set()

    def drop(self) -> None:
        """Forget what Redis holds: it may be another one, or have lost writes."""
        self._before_break |= self._seen
        self._seen.clear()
        self._versions.clear()
        self._noted.clear()
        self._in_redis.clear()

    def forget_versions(self, symbols: Iterable[Symbol]) -> None:
        """Forget the versions of ledgers that have moved."""
        for symbol in symbols:
            self._versions.pop(symbol, None)

    def seen(self, ledger: ExpectedLedger, at_ms: int) -> None:
        """Record that the ledger has these amounts, as the position had at `at_ms`."""
        self._seen[ledger.symbol] = _Seen(at_ms, ledger, self._versions.get(ledger.symbol))

    def read(self, ledger: ExpectedLedger, at_ms: int, version: str | None) -> None:
        """Record the same of a ledger that was read with its version."""
        if version is not None:
            self._versions[ledger.symbol] = version
        self._seen[ledger.symbol] = _Seen(at_ms, ledger, version)

    def viewed(self, symbol: Symbol, view: ReconcileView) -> None:
        """Take in what Redis has. What it has lost is noted again, and the end of a case is, too."""
        if view.agreed is None:
            self._noted.pop(symbol, None)
        if view.agreed is not None or view.status:
            self._in_redis.add(symbol)

    def latest_ms(self, symbol: Symbol, view: ReconcileView) -> int:
        """Return the latest agreement that counts for a ledger as it is stored; 0 for none."""
        found, version, noted = 0, view.version, view.agreed
        seen, before = self._seen.get(symbol), self._before_break.get(symbol)
        if seen is not None and (seen.version is None or not _is_before(version, seen.version)):
            found = seen.at_ms
        if before is not None and before.version == version is not None and _has_amounts(view, before.ledger):
            found = max(found, before.at_ms)
        if noted is not None and not _is_before(version, noted.version):
            found = max(found, noted.at_ms)
        return found

    def unnoted(self) -> list[Agreement]:
        """Return the agreements of ledgers that are not noted with their version and amounts yet.

        Of flat ones only those of symbols with a state, which has an earlier one or had a case.
        """
        return [
            Agreement(symbol, seen.at_ms, version)
            for symbol, version in self._versions.items()
            if (seen := self._seen.get(symbol)) is not None
            and self._noted.get(symbol) != (version, seen.ledger)
            and (symbol in self._in_redis or not _is_flat(seen.ledger))
        ]

    def noted(self, agreements: Iterable[Agreement]) -> None:
        """Record that these are noted in Redis."""
        for each in agreements:
            self._noted[each.symbol] = each.version, self._seen[each.symbol].ledger
            self._in_redis.add(each.symbol)


def _is_flat(ledger: ExpectedLedger) -> bool:
    return {*ledger[1:]} <= {"0", None}


def _has_amounts(view: ReconcileView, ledger: ExpectedLedger) -> bool:
    stored, legs = view.ledger, (ledger.long_amount, ledger.short_amount)
    has_legs = legs == (None, None) or (stored.long_amt, stored.short_amt) == legs
    return stored.last_known_amt == ledger.amount and has_legs


def _is_before(version: str | None, other: str) -> bool:
    """Return True unless a ledger's version is known to be the other one or a later one."""
    if version is None or not (version.isdigit() and other.isdigit()):
        return version != other
    return int(version) < int(other)
