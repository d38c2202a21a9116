"""Symbols that have a page: the exchange's, those with a snapshot, and those that left something behind."""

from __future__ import annotations

from brain.identifiers import is_symbol
from channels import Channels
from monitoring.find.audit_index import AuditIndex
from monitoring.pacing import pause
from store.desk_protocol import DeskStore
from store.keys import Keys, ReconcileKeys

_AT_A_TIME = 2_000


class KnownSymbols:
    """What the process knows, and beyond it ledger, hold, cooldown, case and decisions of a symbol."""

    def __init__(
        self, channels: Channels, store: DeskStore, keys: Keys, index: AuditIndex, *, shadow: bool
    ) -> None:
        """`shadow`: cases of the reconcile engine's shadow count, too."""
        self._channels = channels
        self._store = store
        self._keys = keys
        self._index = index
        engines = [ReconcileKeys(keys, shadow=False)]
        self._engines = [*engines, ReconcileKeys(keys, shadow=True)] if shadow else engines

    def cases(self, name: str) -> list[str]:
        """Return the keys of a symbol's case: of the engine, and of its shadow where that is on."""
        return [engine.state(name) for engine in self._engines]

    def now(self, name: str) -> bool:
        """Return whether exchangeInfo has the symbol, or a snapshot is there."""
        listed = (
            name in (self._channels.symbol_rules.value or ()) or self._channels.book.get(name) is not None
        )
        # What is none by its form has no page: a list that leads there would be led back.
        return listed and is_symbol(name)

    async def stored(self, name: str) -> bool:
        """Return whether Redis has a key of the symbol. Raises StoreError."""
        keys = self._keys
        read = await self._store.read_keys(
            [keys.hold(name), keys.cooldown(name)],
            [keys.ledger(name), keys.open_permits(name), *self.cases(name)],
        )
        return any(read.hashes) or any(each is not None for each in read.strings)

    def decided(self, name: str) -> bool:
        """Return whether one of the entries that are held is of the symbol."""
        return self._index.names.symbols.number_of(name) is not None

    async def known(self, name: str, within_sec: float) -> bool:
        """Return whether the symbol has a page, reading the audit for so long. Raises StoreError."""
        if not is_symbol(name):
            return False
        if self.now(name) or await self.stored(name):
            return True
        await self._index.follow("p33", within_sec)
        return self.decided(name)

    async def beginning(self, text: str) -> list[str]:
        """Return the symbols known now that begin so, in any case; in order."""
        names, wanted = (
            [*(self._channels.symbol_rules.value or ()), *self._channels.book.symbols()],
            text.upper(),
        )
        found: set[str] = set()
        for begin in range(0, len(names), _AT_A_TIME):
            some = names[begin : begin + _AT_A_TIME]
            found.update(each for each in some if each.startswith(wanted) and is_symbol(each))
            await pause()
        return sorted(found)
