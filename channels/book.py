"""The book of snapshots: the newest of each symbol, kept for whoever decides."""

from __future__ import annotations

import msgspec
import trio

from brain.merging import StreamProof
from brain.moment import Moment
from brain.position import Snapshot, VerifiedBy


class BookEntry(msgspec.Struct, frozen=True):
    """A snapshot, and since when an unbroken stream would have told every change of it.

    `grounded` is None, or the latest moment at which a REST read or a push gave the whole truth; a proof of
    a stream that has missed nothing since before that freshens the entry.
    """

    snapshot: Snapshot
    grounded: Moment | None


class SnapshotBook:
    """A conflating channel that keeps what it delivered: one writer a symbol, any number of readers.

    Readers see a snapshot the moment it is published, and only ever whole ones. Nothing here makes a
    snapshot fresher than its publisher proved it to be.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.trust_lost_at: Moment | None = None
        self._entries: dict[str, BookEntry] = {}
        self._proofs: dict[int, StreamProof] = {}
        self._shard_of: dict[str, int] = {}
        self._readers = trio.lowlevel.ParkingLot()

    @property
    def depth(self) -> int:
        """Symbols in the book."""
        return len(self._entries)

    def publish(self, shard: int, entry: BookEntry) -> None:
        """Put a symbol's newest snapshot into the book."""
        self._entries[entry.snapshot.symbol] = entry
        self._shard_of[entry.snapshot.symbol] = shard
        self._readers.unpark_all()

    def prove(self, shard: int, proof: StreamProof) -> None:
        """The entries of `shard` grounded in the stretch that `proof` covers were true at its end."""
        self._proofs[shard] = proof

    def lose_trust(self, at: Moment) -> None:
        """Entries verified before `at` are no longer believed, whatever their age."""
        if self.trust_lost_at is None or self.trust_lost_at < at:
            self.trust_lost_at = at
        self._proofs.clear()

    def symbols(self) -> list[str]:
        """All symbols in the book, in the order in which they came."""
        return list(self._entries)

    def get(self, symbol: str) -> Snapshot | None:
        """The newest snapshot of `symbol`, verified as of its latest proof."""
        entry = self._entries.get(symbol)
        if entry is None:
            return None
        snapshot = entry.snapshot
        proof = self._proofs.get(self._shard_of[symbol])
        if proof is None or entry.grounded is None or entry.grounded < proof.since:
            return snapshot
        if proof.as_of <= snapshot.verified_at:
            return snapshot
        return msgspec.structs.replace(snapshot, verified_at=proof.as_of, verified_by=VerifiedBy.STREAM)

    def believed(self, snapshot: Snapshot) -> bool:
        """Whether nothing since its verification has made silence mean nothing."""
        return self.trust_lost_at is None or snapshot.verified_at > self.trust_lost_at

    async def changed(self) -> None:
        """Wait until a snapshot is published."""
        await self._readers.park()
