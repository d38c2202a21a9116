"""The snapshots of one shard as everybody else has them: in the book, and from there in Redis."""

from __future__ import annotations

from collections.abc import Mapping

from actors.snapshot_fetcher.writer import SnapshotWriter
from brain.moment import Moment
from brain.positions.position import LegPosition, Snapshot
from channels import BookEntry, Conflating, MarkPrice, SnapshotBook, SnapshotChanged


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
        self._told: dict[str, tuple[LegPosition, ...]] = {}

    def vouched(self) -> list[tuple[str, Moment]]:
        """The symbols that proofs freshen, and since when a stream would have told what changed."""
        return [(s, entry.grounded) for s, entry in self._entries.items() if entry.grounded is not None]

    def put(self, snapshot: Snapshot, grounded: Moment | None, *, disputed: bool = False) -> None:
        """Put it into the book alone. `grounded`, `disputed`: as in `BookEntry`."""
        entry = self._entries[snapshot.symbol] = BookEntry(snapshot, grounded, disputed)
        self._book.publish(self._shard, entry)

    def publish(self, snapshot: Snapshot, grounded: Moment | None, *, pushed: bool) -> None:
        """Put it into the book, have it written, and tell of it if the position is another one."""
        before = self._told.get(snapshot.symbol)
        self.put(snapshot, grounded)
        self._writer.published(snapshot.symbol, pushed=pushed)
        if before is None or before != snapshot.legs:
            self._told[snapshot.symbol] = snapshot.legs
            self._changes.send(SnapshotChanged(snapshot))

    def stop_vouching(self, symbol: str) -> None:
        """Leave the snapshot as true as it is known to be, but let no later proof freshen it."""
        entry, snapshot = self._entries.get(symbol), self._book.get(symbol)
        if entry is not None and entry.grounded is not None and snapshot is not None:
            self.put(snapshot, None, disputed=entry.disputed)

    def dispute(self, symbol: str) -> None:
        """Leave the snapshot in the book, not to be believed until another one is published."""
        entry, snapshot = self._entries.get(symbol), self._book.get(symbol)
        if entry is not None and not entry.disputed and snapshot is not None:
            self.put(snapshot, None, disputed=True)

    def mark(self, prices: Mapping[str, MarkPrice]) -> None:
        """These are the mark prices by now, of symbols of this shard and of others."""
        mine = {symbol: prices[symbol] for symbol in self._entries if symbol in prices}
        self._book.mark(mine)
        self._writer.marked(mine)
