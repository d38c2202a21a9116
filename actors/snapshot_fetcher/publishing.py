"""Published snapshots of one shard: in the book, and from there in Redis."""

from __future__ import annotations

from actors.snapshot_fetcher.writer import SnapshotWriter
from brain.moment import Moment
from brain.positions.position import LegPosition, Snapshot
from channels import BookEntry, Conflating, SnapshotBook, SnapshotChanged


class PublishedSnapshots:
    """Latest published snapshot of each symbol. One owner; the only one to publish them."""

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
        self._announced: dict[str, tuple[LegPosition, ...]] = {}

    def covered(self) -> list[tuple[str, Moment]]:
        """Return the symbols that proofs extend, and since when a stream would have pushed each change."""
        return [(s, entry.synced_at) for s, entry in self._entries.items() if entry.synced_at is not None]

    def put(self, snapshot: Snapshot, synced_at: Moment | None, *, disputed: bool = False) -> None:
        """Put a snapshot into the book alone. `synced_at`, `disputed`: as in `BookEntry`."""
        entry = self._entries[snapshot.symbol] = BookEntry(snapshot, synced_at, disputed)
        self._book.publish(self._shard, entry)

    def publish(self, snapshot: Snapshot, synced_at: Moment | None, *, pushed: bool) -> None:
        """Put a snapshot into the book, have it written, and announce it if the position is another one."""
        before = self._announced.get(snapshot.symbol)
        self.put(snapshot, synced_at)
        self._writer.published(snapshot.symbol, pushed=pushed)
        if before is None or before != snapshot.legs:
            self._announced[snapshot.symbol] = snapshot.legs
            self._changes.send(SnapshotChanged(snapshot))

    def stop_covering(self, symbol: str) -> None:
        """Leave the snapshot as it is, but let no later proof extend it."""
        entry, snapshot = self._entries.get(symbol), self._book.get(symbol)
        if entry is not None and entry.synced_at is not None and snapshot is not None:
            self.put(snapshot, None, disputed=entry.disputed)

    def dispute(self, symbol: str) -> None:
        """Leave the snapshot in the book, marked as disputed until another one is published."""
        entry, snapshot = self._entries.get(symbol), self._book.get(symbol)
        if entry is not None and not entry.disputed and snapshot is not None:
            self.put(snapshot, None, disputed=True)
