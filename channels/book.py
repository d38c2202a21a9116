"""Book of snapshots: the newest of each symbol, for all actors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec
import trio

from brain.moment import Moment
from brain.positions.position import Snapshot, VerifiedBy
from brain.positions.symbol_state import StreamProof
from channels.messages import MarkPrice

#: Age from which log, `/status` and page show an uncovered symbol (seconds): a position that changed while it
#: was read, or is disputed, is read again before that.
UNCOVERED_NOTICED_SEC = 3.0
#: Named once: up to Python 3.11, a look into an enum takes as long as ten others.
_STREAM = VerifiedBy.STREAM
#: Symbols of the latest snapshots, several reads of all of them.
_MOST_REMEMBERED = 4_096


class BookEntry(msgspec.Struct, frozen=True, gc=False):
    """A snapshot, and since when a stream without gaps would have pushed every change of it.

    `synced_at` is the latest moment at which a REST read or a push gave the whole position; a proof of a
    session that began before extends the entry. None: no proof does. `disputed`: the exchange has shown
    another position since, which no later read has resolved; the snapshot is not trusted.
    """

    snapshot: Snapshot
    synced_at: Moment | None
    disputed: bool = False


class Uncovered(msgspec.Struct, frozen=True, gc=False):
    """Reason why nothing makes a symbol's snapshot fresher, as a phrase, and since when."""

    why: str
    since: Moment


class SnapshotBook:
    """A conflating channel that keeps what it delivered: one writer a symbol, any number of readers.

    Readers see a snapshot the moment it is published, and only ever whole ones. Nothing here makes a
    snapshot fresher than its publisher proved it to be.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.trust_lost_at: Moment | None = None
        #: Number of snapshots published so far.
        self.published = 0
        self._newest: deque[str] = deque(maxlen=_MOST_REMEMBERED)
        self._entries: dict[str, BookEntry] = {}
        self._proofs: dict[int, StreamProof] = {}
        self._shard_of: dict[str, int] = {}
        self._marks: dict[str, MarkPrice] = {}
        self._readers = trio.lowlevel.ParkingLot()
        self._trust_lost = trio.lowlevel.ParkingLot()
        self._unreadable: dict[str, str] = {}
        self._uncovered: dict[str, Uncovered] = {}

    @property
    def depth(self) -> int:
        """Symbols in the book."""
        return len(self._entries)

    def publish(self, shard: int, entry: BookEntry) -> None:
        """Put a symbol's newest snapshot into the book."""
        self._entries[entry.snapshot.symbol] = entry
        self._shard_of[entry.snapshot.symbol] = shard
        self.published += 1
        self._newest.append(entry.snapshot.symbol)
        if self._readers:
            self._readers.unpark_all()

    def published_since(self, published: int) -> Iterable[str]:
        """Return the symbols of the snapshots behind the first `published`; all where that is long ago."""
        count = self.published - published
        if count > len(self._newest):
            return list(self._entries)
        return [self._newest[-number] for number in range(1, count + 1)]

    def prove(self, shard: int, proof: StreamProof) -> None:
        """Extend the entries of `shard` that were synced in the session of `proof` to its end."""
        self._proofs[shard] = proof

    def mark(self, prices: Mapping[str, MarkPrice]) -> None:
        """The symbols have these mark prices by now, those too that are not in the book.

        One that is older than its snapshot's is not shown.
        """
        self._marks.update(prices)
        self._readers.unpark_all()

    def lose_trust(self, at: Moment) -> None:
        """Entries verified before `at` are no longer trusted, whatever their age."""
        if self.trust_lost_at is None or self.trust_lost_at < at:
            self.trust_lost_at = at
        self._proofs.clear()
        self._trust_lost.unpark_all()

    async def trust_lost(self) -> None:
        """Wait until trust in the stream is lost, by the finding of any actor."""
        await self._trust_lost.park()

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The symbols whose position the exchange last sent in a form that cannot be read, and why."""
        return self._unreadable

    def set_unreadable(self, symbol: str, why: str | None) -> None:
        """The latest read of `symbol` could not be read, because of `why`; None: it could."""
        if why is None:
            self._unreadable.pop(symbol, None)
        else:
            self._unreadable[symbol] = why

    @property
    def uncovered(self) -> Mapping[str, Uncovered]:
        """The symbols whose position has no snapshot, or whose snapshot no proof makes fresher, and why.

        A stream that is not proven at all, and symbols that are no candidates, are not listed.
        """
        return self._uncovered

    def set_uncovered(self, symbol: str, uncovered: Uncovered | None) -> None:
        """Record that `symbol` is uncovered; None: it no longer is."""
        if uncovered is None:
            self._uncovered.pop(symbol, None)
        else:
            self._uncovered[symbol] = uncovered

    def symbols(self) -> list[str]:
        """All symbols in the book, in the order in which they came."""
        return list(self._entries)

    def holds(self, symbol: str) -> bool:
        """Whether the newest snapshot of `symbol` shows a position."""
        entry = self._entries.get(symbol)
        return entry is not None and any(leg.amount for leg in entry.snapshot.legs)

    def get(self, symbol: str) -> Snapshot | None:
        """The newest snapshot of `symbol`, verified as of its latest proof, at its latest mark price."""
        entry = self._entries.get(symbol)
        if entry is None:
            return None
        known = entry.snapshot
        price, ts_ms = self.mark_of(known)
        verified_at, verified_by = self.verification(entry)
        return Snapshot(symbol, known.legs, known.leverage, price, ts_ms, verified_at, verified_by)

    def entry(self, symbol: str) -> BookEntry | None:
        """The newest entry of `symbol`: the same object until another snapshot is published."""
        return self._entries.get(symbol)

    def verification(self, entry: BookEntry) -> tuple[Moment, VerifiedBy]:
        """Return until when an entry's snapshot is verified, and by what; the moment is the proof's own."""
        known, proof = entry.snapshot, self._proofs.get(self._shard_of[entry.snapshot.symbol])
        if proof is not None and entry.synced_at is not None and entry.synced_at >= proof.since:
            as_of = proof.as_of
            if as_of > known.verified_at:
                return as_of, _STREAM
        return known.verified_at, known.verified_by

    def mark_of(self, known: Snapshot) -> tuple[Decimal | None, int]:
        """Return the latest mark price of a snapshot in the book, and its time; None while it is unknown."""
        mark = self._marks.get(known.symbol)
        if mark is not None and mark.ts_ms >= known.mark_ts_ms:
            return mark.price, mark.ts_ms
        return known.mark_price, known.mark_ts_ms

    def read_at(self, symbol: str) -> Moment | None:
        """Return when a read or a push last gave the whole position of `symbol`; None while unknown.

        What is proven by the stream since then lacks the changes whose events were lost.
        """
        entry = self._entries.get(symbol)
        if entry is None or entry.synced_at is not None:
            return None if entry is None else entry.synced_at
        known = entry.snapshot
        return None if known.verified_by is _STREAM else known.verified_at

    def follows_stream(self, symbol: str) -> bool:
        """Return True if a proven stream reports each change of `symbol`: a push is worth waiting for."""
        entry, shard = self._entries.get(symbol), self._shard_of.get(symbol)
        proof = None if shard is None else self._proofs.get(shard)
        return (
            entry is not None
            and proof is not None
            and entry.synced_at is not None
            and entry.synced_at >= proof.since
        )

    def is_disputed(self, symbol: str) -> bool:
        """Say if the exchange has shown something else than the snapshot, and no read has resolved it."""
        entry = self._entries.get(symbol)
        return entry is not None and entry.disputed

    def is_trusted(self, snapshot: Snapshot) -> bool:
        """Say if it may be used: verified since trust was last lost, and of a symbol without dispute."""
        if self.is_disputed(snapshot.symbol):
            return False
        return self.trust_lost_at is None or snapshot.verified_at > self.trust_lost_at

    async def changed(self) -> None:
        """Wait until a snapshot is published."""
        await self._readers.park()
