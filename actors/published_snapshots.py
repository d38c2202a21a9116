"""The snapshots of one shard as everybody else has them: in the book, and from there in Redis."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.snapshot_writer import SnapshotWriter
from brain.merging import SymbolState
from brain.moment import Moment
from brain.position import Snapshot
from channels import BookEntry, Conflating, SnapshotBook, SnapshotChanged


class PublishedSnapshots:
    """What was published last of each symbol. One owner; the only one to publish them."""

    def __init__(
        self,
        shard: int,
        book: SnapshotBook,
        changes: Conflating[SnapshotChanged],
        writer: SnapshotWriter,
    ) -> None:
        self._shard = shard
        self._book = book
        self._changes = changes
        self._writer = writer
        self._entries: dict[str, BookEntry] = {}

    def vouched(self) -> list[tuple[str, Moment]]:
        """The symbols that proofs freshen, and since when a stream would have told what changed."""
        return [(s, entry.grounded) for s, entry in self._entries.items() if entry.grounded is not None]

    def put(self, snapshot: Snapshot, grounded: Moment | None) -> None:
        """Put it into the book alone. `grounded`: as in `BookEntry`."""
        entry = self._entries[snapshot.symbol] = BookEntry(snapshot, grounded)
        self._book.publish(self._shard, entry)

    def publish(self, snapshot: Snapshot, grounded: Moment | None, *, pushed: bool) -> None:
        """Put it into the book, have it written, and tell of it if the position is another one."""
        before = self._book.get(snapshot.symbol)
        self.put(snapshot, grounded)
        self._writer.changed(snapshot.symbol, pushed=pushed)
        if before is None or before.legs != snapshot.legs:
            self._changes.send(SnapshotChanged(snapshot))

    def stop_vouching(self, symbol: str) -> None:
        """Leave the snapshot as true as it is known to be, but let no later proof freshen it."""
        entry, snapshot = self._entries.get(symbol), self._book.get(symbol)
        if entry is not None and entry.grounded is not None and snapshot is not None:
            self.put(snapshot, None)

    def mark(self, states: Iterable[SymbolState]) -> None:
        """The symbols have these mark prices by now."""
        marked: list[str] = []
        for state in states:
            entry = self._entries.get(state.symbol)
            if entry is None or state.mark_price is None:
                continue
            snapshot = msgspec.structs.replace(
                entry.snapshot, mark_price=state.mark_price, mark_ts_ms=state.mark_ts_ms
            )
            self.put(snapshot, entry.grounded)
            marked.append(state.symbol)
        self._writer.marked(marked)
