"""Read schedule of one shard: when a symbol is read next, and whether its last read is recent enough.

These are rules 13-20 of freshness; 1-12, on rows and dates, are at the head of `brain.positions.merging`.

Stream and trust.
13. A connection is proven from the first answered ping after its listen key was confirmed. An answered ping
    proves that everything until its sending, less the push delay, has arrived
    (`actors/user_stream/actor.py`).
14. *Covered*: a proof moves `until` of the legs that were shown within the session, of symbols read within
    the session (`ShardPositions._apply_proof` in `positions.py`) and within `P33_AUDIT_MAX_AGE_SEC`
    (`ReadSchedule.gap`), that are not disputed (`ShardPositions._publish`). Where symbols are read one by
    one, the candidates alone are covered (`gap`).
15. A read that shows an amount which a trusted stream has not pushed, in order or out of it (rules 2, 6 and
    7), must be explained by a push within `EVENT_IN_FLIGHT_SEC`, or within the current push delay; else
    trust is lost and the connection is ended (`discrepancies.py`).
16. Trust is lost by a closed or unanswering connection, a key that is not confirmed, an unreadable event,
    or rule 15. From then on nothing verified earlier is trusted; a read sent after the loss makes a symbol
    fresh again, and proofs count again after such a read within a new session.

Next read (`ReadSchedule.next_due`) of one symbol, or of all symbols in one request:
17. *At once* if nothing was read yet, or nothing since the session began. A read of all symbols is also due
    at once if nothing was read since trust was lost.
18. *Interval*: `P33_POLL_SEC` after the last read, or `P33_AUDIT_SEC` while the stream is proven.
19. *Fill*: earlier, `FILL_WITHOUT_UPDATE_SEC` after a fill whose account update is missing. An update covers
    the fills of its leg until its own date, a read those received before its sending.
20. *Repeat*: earlier, 0.5 s after the first read without a snapshot by rule 11, and 1.01 s after each new
    dispute. One read each: if it resolves nothing, rule 18 applies until a position is published.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec
import trio

from actors.snapshot_fetcher.early_reads import AmbiguousReads, UnmatchedFills
from brain.moment import Moment
from channels import SnapshotBook
from clock import Clock
from clocks.growing_delay import GrowingDelay

#: Longest time that the account update of a fill may be missing before positions are read instead.
FILL_WITHOUT_UPDATE_SEC = 1.0
_INSTANT_SEC = 0.00001
_RETRIES = GrowingDelay(initial_sec=0.5, maximum_sec=2.0)


def just_after(moment: Moment) -> Moment:
    """Return the next moment: a read sent from then on was sent after `moment`, at any clock resolution."""
    return Moment(moment.monotonic_sec + _INSTANT_SEC, moment.wall_ms)


class Cadence(msgspec.Struct, frozen=True):
    """Seconds between reads without a trusted stream (`poll_sec`) and with one (`audit_sec`).

    `audit_max_age_sec`: age of a symbol's last read from which the stream alone no longer keeps it fresh.
    """

    poll_sec: float
    audit_sec: float
    audit_max_age_sec: float


class ReadReason(StrEnum):
    """Reason why the next read is due, as a phrase for log and `/status`."""

    FIRST = "nothing was read yet"
    SESSION = "nothing was read since the stream's session began"
    TRUST_LOST = "nothing was read since trust in the stream was lost"
    POLL = "poll: no stream is proven"
    AUDIT = "audit of the stream"
    FILL = "a fill lacks its account update"
    AMBIGUOUS = "a position changed while it was read"
    DISPUTED = "a position is disputed"


_RECOVERING = frozenset({ReadReason.FIRST, ReadReason.SESSION, ReadReason.TRUST_LOST})


class NextRead(NamedTuple):
    """The next read: due at `due_sec` (trio's clock), to be sent after `sent_after`."""

    due_sec: float
    sent_after: Moment
    reason: ReadReason

    @property
    def recovers(self) -> bool:
        """Return True if no snapshot is trusted until this read."""
        return self.reason in _RECOVERING


class Gap(StrEnum):
    """Reason why no proof makes a symbol's snapshot fresher, as a phrase for log, `/status` and page."""

    NO_CANDIDATE = "it is no candidate, and symbols are read one by one"
    AUDIT_OVERDUE = "it was not read within P33_AUDIT_MAX_AGE_SEC"
    NEVER_READ = "the stream pushed its position, but no read has shown it"
    MISSING = "its row was missing from the exchange's last read"
    DISPUTED = "the exchange has shown another position, and no later read has resolved which one is right"
    AMBIGUOUS = "its position changed each time while it was read"
    TRUST_LOST = "it was not read since trust in the stream was lost"


class ReadSchedule:
    """Read times, ambiguous reads, unmatched fills, unpublished symbols, session and intervals of a shard."""

    def __init__(self, cadence: Cadence, book: SnapshotBook, clock: Clock) -> None:
        self.cadence = cadence
        #: Start of this shard: reads that were sent earlier may be older than what the book holds.
        self.begun: Moment | None = None
        #: Start of the stream's session; None without a stream.
        self.session_since: Moment | None = None
        #: True while proofs of the session count (rule 16).
        self.stream_proven = False
        #: Symbols that are read one by one at the cadence, in order; None: all symbols in one request.
        self.audited_symbols: dict[str, None] | None = None
        #: Symbols whose newest position has no snapshot (rules 11 and 12).
        self.unpublished: set[str] = set()
        self.ambiguous_reads = AmbiguousReads()
        self.unmatched_fills = UnmatchedFills()
        self._book = book
        self._clock = clock
        self._sent: dict[str, Moment] = {}
        self._answered: dict[str | None, Moment] = {}
        self._read_after: Moment | None = None
        self._changed = trio.lowlevel.ParkingLot()

    def next_due(self, symbol: str | None = None) -> NextRead:
        """Return the next read of `symbol`, or of all symbols in one request (None), by rules 17-20."""
        last, lost_at, session = self.last_read(symbol), self._book.trust_lost_at, self._read_after
        if last is None:
            now = self._clock.now()
            return NextRead(now.monotonic_sec, now, ReadReason.FIRST)
        if session is not None and last < session:
            return NextRead(session.monotonic_sec, session, ReadReason.SESSION)
        if symbol is None and lost_at is not None and last <= lost_at:
            after = just_after(lost_at)
            return NextRead(after.monotonic_sec, after, ReadReason.TRUST_LOST)
        proven = self.stream_proven
        interval_sec = self.cadence.audit_sec if proven else self.cadence.poll_sec
        # A read sent half an interval after the last one suffices, so that all shards share one request.
        half_way = last.earlier_by(-interval_sec / 2)
        reason = ReadReason.AUDIT if proven else ReadReason.POLL
        due = NextRead(last.monotonic_sec + interval_sec, half_way, reason)
        fill, repeat = self.unmatched_fills.oldest(symbol), self.ambiguous_reads.repeat(symbol)
        if fill is not None:
            due = min(due, NextRead(fill.monotonic_sec + FILL_WITHOUT_UPDATE_SEC, fill, ReadReason.FILL))
        if repeat is not None:
            reason = ReadReason.DISPUTED if repeat.disputed else ReadReason.AMBIGUOUS
            due = min(due, NextRead(repeat.due_sec, repeat.sent_after, reason))
        return due

    def gap(self, symbol: str, oldest_audit: Moment) -> Gap | None:
        """Return why the stream does not cover what the symbol's last read showed, as far as read times show.

        Compares both clocks of this host: it may have slept, and its wall clock may have been set.
        """
        if self.audited_symbols is not None and symbol not in self.audited_symbols:
            return Gap.NO_CANDIDATE
        sent = self._sent.get(symbol)
        if sent is None or sent.monotonic_sec < oldest_audit.monotonic_sec:
            return Gap.AUDIT_OVERDUE
        return Gap.AUDIT_OVERDUE if sent.wall_ms < oldest_audit.wall_ms else None

    def oldest_audit(self) -> Moment:
        """Return the moment since which a symbol must have been read for the stream to cover it."""
        return self._clock.now().earlier_by(self.cadence.audit_max_age_sec)

    def read_in_session(self, symbol: str) -> bool:
        """Return True if the symbol was read since the session began, or if there is no session."""
        return self.session_since is None or self.read_since(symbol, self.session_since)

    def begin(self) -> None:
        """Start the shard: from now on, only reads sent later are new."""
        self.begun = self._clock.now()

    def begin_session(self, since: Moment) -> None:
        """Begin a session of the stream at `since`; reads sent earlier show nothing of it."""
        self.session_since = self._read_after = since
        self.stream_proven = False
        self.recheck()

    def end_session(self) -> None:
        """End the session: the stream was lost."""
        self.session_since, self.stream_proven = None, False
        self.recheck()

    def shown(self, symbol: str, sent: Moment) -> None:
        """Record a read, sent then, that showed the symbol; a late answer undoes no later read."""
        self._sent[symbol] = max(sent, self._sent.get(symbol, sent))
        self.ambiguous_reads.repeated(symbol, sent)
        self.unmatched_fills.read(symbol, sent)

    def answered(self, symbol: str | None, sent: Moment) -> None:
        """Record an answered read of `symbol`, or of all symbols (None), whatever it showed."""
        self._answered[symbol] = sent
        self.unmatched_fills.read(symbol, sent)
        self.ambiguous_reads.repeated(symbol, sent)

    def published(self, symbol: str) -> None:
        """Record that the symbol's newest position has a snapshot."""
        self.unpublished.discard(symbol)
        self.ambiguous_reads.resolved(symbol)

    def last_read(self, symbol: str | None) -> Moment | None:
        """Return when the last answered read of `symbol`, or of all symbols (None), was sent."""
        answered = self._answered.get(symbol)
        sent = None if symbol is None else self._sent.get(symbol)
        return answered if sent is None or (answered is not None and answered > sent) else sent

    def read_since(self, symbol: str, moment: Moment) -> bool:
        """Return True if a read sent at `moment` or later has shown the symbol."""
        sent = self._sent.get(symbol)
        return sent is not None and sent >= moment

    def lacks_a_read(self, symbol: str, verified_at: Moment) -> bool:
        """Return True if a snapshot would be trusted without a read sent since trust was lost (rule 16).

        It has to wait for that read: it cannot be dated before the loss, when it was not yet true.
        """
        lost_at, sent = self._book.trust_lost_at, self._sent.get(symbol)
        return lost_at is not None and verified_at > lost_at and (sent is None or sent <= lost_at)

    def new_since(self, symbol: str) -> Moment | None:
        """Return the moment from which a read must be sent to show more than is known; None: any.

        That is after the latest read of the symbol, the latest loss of trust, and the start of this shard.
        """
        moments = (self.begun, self._sent.get(symbol), self._book.trust_lost_at)
        latest = max((moment for moment in moments if moment is not None), default=None)
        return None if latest is None else just_after(latest)

    def symbols_to_read(self) -> list[str]:
        """Return the symbols to read one by one: the candidates, and those that need a read (19, 20)."""
        fills = sorted(self.unmatched_fills.symbols())
        return list(dict.fromkeys((*(self.audited_symbols or ()), *sorted(self.unpublished), *fills)))

    def is_to_read(self, symbol: str) -> bool:
        """Return True if `symbol` is one of those."""
        audited = self.audited_symbols is not None and symbol in self.audited_symbols
        return audited or symbol in self.unpublished or self.unmatched_fills.oldest(symbol) is not None

    def retry_sec(self, failures: int) -> float:
        """Return the pause after so many (at least one) failed reads in a row."""
        return min(_RETRIES.after(failures), self.cadence.poll_sec)

    def recheck(self) -> None:
        """Wake the tasks that wait for the next read: it may be due earlier."""
        self._changed.unpark_all()

    async def changed(self) -> None:
        """Wait until the next read may be due earlier than before."""
        await self._changed.park()
