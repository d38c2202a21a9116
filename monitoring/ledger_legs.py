"""Caches the legs of a hedge-mode account's ledgers, whose sums alone are gauges: one read per look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from brain.ledger.ledger import LedgerLegs, StoredLedger, UnreadableLedgerError, parse_ledger
from brain.numbers import ZERO
from brain.positions.position import Leg, Snapshot
from channels import Channels
from store.errors import StoreError
from store.keys import Keys
from store.protocol import DiagnosticsStore
from store.stored_values import read_ledger

_PATIENCE_SEC = 0.5
#: Ledgers in one read: those whose legs differ from the exchange, and others by turns.
_MOST_DIFFERING = 50
_BY_TURNS = 50
_AT_A_TIME = 200
_FIELDS = tuple(name.encode() for name in StoredLedger.__struct_fields__)


class LedgerLegsCache:
    """Legs as read last, by symbol; none in one-way mode and without the lease: nothing is compared then."""

    def __init__(self, store: DiagnosticsStore, keys: Keys, channels: Channels) -> None:
        self._store = store
        self._keys = keys
        self._channels = channels
        self._next = 0
        self.legs: Mapping[str, LedgerLegs] = {}

    async def refresh(self) -> None:
        """Read again what differs, and the next 50 symbols. What was read before stays where that fails."""
        lease = self._channels.lease.value
        if not self._channels.hedge_mode.value or lease is None or lease.fence is None:
            self.legs = {}
            return
        symbols = list(dict.fromkeys((*await self._differing(), *self._by_turns())))
        with trio.move_on_after(_PATIENCE_SEC):
            try:
                read = await self._store.read_keys((), [self._keys.ledger(symbol) for symbol in symbols])
            except StoreError:
                return
            found = {symbol: _legs(stored) for symbol, stored in zip(symbols, read.hashes, strict=True)}
            kept = {symbol: legs for symbol, legs in self.legs.items() if symbol not in found}
            self.legs = kept | {symbol: legs for symbol, legs in found.items() if legs is not None}

    async def _differing(self) -> Sequence[str]:
        found: list[str] = []
        for number, (symbol, legs) in enumerate(self.legs.items(), 1):
            snapshot = self._channels.book.get(symbol)
            if snapshot is not None and exchange_legs(snapshot) not in (None, legs):
                found.append(symbol)
            if number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
        return found[:_MOST_DIFFERING]

    def _by_turns(self) -> Sequence[str]:
        symbols = list(self._channels.book.symbols())
        begin = self._next if self._next < len(symbols) else 0
        self._next = begin + _BY_TURNS
        return symbols[begin : self._next]


def exchange_legs(snapshot: Snapshot) -> LedgerLegs | None:
    """Return the legs of a position in hedge mode; None for one of one-way mode."""
    amounts = {row.leg: row.amount for row in snapshot.legs}
    if amounts.get(Leg.BOTH):
        return None
    return LedgerLegs(amounts.get(Leg.LONG, ZERO), amounts.get(Leg.SHORT, ZERO))


def _legs(stored: Mapping[bytes, bytes] | None) -> LedgerLegs | None:
    """Return the legs of a ledger; None where it is missing, has none, or cannot be read."""
    if stored is None:
        return None
    try:
        ledger = parse_ledger(read_ledger([stored.get(name) for name in _FIELDS]))
    except UnreadableLedgerError:
        return None
    if ledger is None or ledger.long_amount is None or ledger.short_amount is None:
        return None
    return LedgerLegs(ledger.long_amount, ledger.short_amount)
