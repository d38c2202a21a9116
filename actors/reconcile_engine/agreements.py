"""Agreements of positions and ledgers as they are seen, and which of them Redis has, too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import trio

from brain.identifiers import Symbol
from brain.positions.position import Leg
from brain.reconciliation.agreed import Agreed, amounts_text
from brain.reconciliation.agreeing import Agreements
from store.reconcile_records import Agreement, ExpectedLedger, ReconcileView

#: An agreement is noted again after so long: its key expires a day after the last write (seconds).
_NOTED_SEC = 3600.0


class SeenAgreements:
    """Agreements with what is known of the ledgers' versions, noted in Redis for the next process."""

    def __init__(self, settle_sec: float) -> None:
        self._agreements = Agreements(settle_sec)
        #: Versions of ledgers that agreed when they were read.
        self._versions: dict[Symbol, str] = {}
        #: What was noted, and when.
        self._noted: dict[Symbol, tuple[Agreed, float]] = {}
        #: Ledgers as they were seen last, where seeing them again changes nothing and nothing is to be noted.
        self._at_rest: dict[Symbol, ExpectedLedger] = {}

    def at_rest(self, symbol: Symbol) -> ExpectedLedger | None:
        """Return the ledger that was seen last if seeing the same again changes nothing; else None."""
        return self._at_rest.get(symbol)

    def drop(self) -> None:
        """Forget what Redis holds: it may be another one, or have lost writes."""
        self._agreements.drop()
        self._at_rest.clear()
        self._versions.clear()
        self._noted.clear()

    def forget_version(self, symbol: Symbol) -> None:
        """Forget the version of a ledger that may be another one now."""
        self._versions.pop(symbol, None)
        self._at_rest.pop(symbol, None)

    def moved(self, symbols: Iterable[Symbol]) -> None:
        """Take in ledgers that have moved."""
        for symbol in symbols:
            self.forget_version(symbol)
            self._agreements.move(symbol)

    def interrupt(self, symbol: Symbol) -> None:
        """Take in that both sides differ, or that an order is in flight."""
        self._at_rest.pop(symbol, None)
        self._agreements.interrupt(symbol)

    def differ(self, expected: ExpectedLedger, at_ms: int, view: ReconcileView) -> None:
        """Take in a ledger that differs from the expected one, which contains every trade until `at_ms`."""
        self._at_rest.pop(expected.symbol, None)
        self._agreements.differ(expected.symbol, view.ledger, view.version, _amounts(expected), at_ms)

    def apart(self) -> Collection[Symbol]:
        """Return the symbols that differed last: the version of one that does no more has to be read."""
        return self._agreements.apart()

    def seen(self, ledger: ExpectedLedger, at_ms: int) -> None:
        """Record that the ledger has these amounts, as the position had at `at_ms`; nothing is in flight.

        One that differed last has to be read.
        """
        symbol = ledger.symbol
        if symbol not in self._agreements.apart():
            version = self._versions.get(symbol)
            self._agree(ledger, at_ms, version)
            rests = self._agreements.rests(symbol, Agreed(at_ms, _amounts(ledger), version))
            if rests and not (symbol in self._versions and self._has_to_be_noted(symbol)):
                self._at_rest[symbol] = ledger

    def read(self, ledger: ExpectedLedger, at_ms: int, version: str | None) -> None:
        """Record the same of a ledger that was read with its version."""
        if version is not None:
            self._versions[ledger.symbol] = version
        self._agree(ledger, at_ms, version)

    def read_in_flight(self, ledger: ExpectedLedger, at_ms: int, version: str | None) -> None:
        """Record the same of a ledger that was read with its version while an order may be in flight."""
        if self._agreements.was_set(ledger.symbol, Agreed(at_ms, _amounts(ledger), version)):
            self.read(ledger, at_ms, version)
        else:
            self.interrupt(ledger.symbol)

    def viewed(self, symbol: Symbol, view: ReconcileView) -> None:
        """Take in what Redis has. What it has lost is noted again."""
        self._at_rest.pop(symbol, None)
        if view.agreed is None:
            self._noted.pop(symbol, None)
        self._agreements.view(symbol, view.ledger, view.version, _noted(view))

    def latest(self, symbol: Symbol, view: ReconcileView) -> Agreed | None:
        """Return the latest agreement that counts for a ledger as it is stored; None for none."""
        return self._agreements.latest(symbol, view.ledger, view.version, _noted(view))

    def amounts_at(self, since_ms: int, symbol: Symbol, view: ReconcileView) -> Mapping[Leg, Decimal]:
        """Return both amounts at the agreement of `since_ms` by leg; none for unknown.

        Nor of a ledger that has not moved since: it contains what it did then.
        """
        agreed = self.latest(symbol, view)
        # A ledger that agreed as it was adopted contains the trades of that millisecond.
        if agreed is None or agreed.at_ms not in (since_ms, since_ms - 1):
            return {}
        return agreed.legs_before(view.ledger, view.version)

    def unnoted(self) -> list[Agreement]:
        """Return agreements with a ledger of a known version that are not noted yet, or an hour ago."""
        found: list[Agreement] = []
        for symbol in self._versions:
            if symbol in self._at_rest:
                continue
            agreed = self._agreements.get(symbol)
            if agreed is not None and agreed.version is not None and self._has_to_be_noted(symbol):
                found.append(Agreement(symbol, agreed.at_ms, agreed.version, agreed.amounts, agreed.began))
        return found

    def noted(self, agreements: Iterable[Agreement]) -> None:
        """Record that these are noted in Redis."""
        for each in agreements:
            agreed = Agreed(each.at_ms, each.amounts, each.version, each.began)
            self._noted[each.symbol] = agreed, trio.current_time()

    def _has_to_be_noted(self, symbol: Symbol) -> bool:
        """Return True for an agreement of a known version that is not noted yet, or an hour ago."""
        agreed, (noted, at_sec) = self._agreements.get(symbol), self._noted.get(symbol, (None, 0.0))
        if agreed is None or agreed.version is None:
            return False
        return noted != agreed or trio.current_time() - at_sec >= _NOTED_SEC

    def _agree(self, ledger: ExpectedLedger, at_ms: int, version: str | None) -> None:
        agreed = Agreed(at_ms, _amounts(ledger), version)
        self._at_rest.pop(ledger.symbol, None)
        self._agreements.agree(ledger.symbol, agreed, trio.current_time())


def _amounts(ledger: ExpectedLedger) -> str:
    return amounts_text(ledger.amount, ledger.long_amount, ledger.short_amount)


def _noted(view: ReconcileView) -> Agreed | None:
    noted = view.agreed
    return None if noted is None else Agreed(noted.at_ms, noted.amounts, noted.version, noted.began)
