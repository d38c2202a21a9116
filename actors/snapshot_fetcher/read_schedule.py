"""When the symbols of one shard were read, which are read again soon, and how often all are."""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec

from brain.moment import Moment
from brain.positions.merging import EVENT_IN_FLIGHT_SEC
from brain.positions.position import Leg
from channels import FillObserved

_INSTANT_SEC = 0.00001


def just_after(moment: Moment) -> Moment:
    """A read sent from then on was sent after `moment`, by a clock of whatever resolution."""
    return Moment(moment.monotonic_sec + _INSTANT_SEC, moment.wall_ms)


class LastReads:
    """The latest read of each symbol of one shard, by the moment it was sent."""

    def __init__(self, audit_max_age_sec: float) -> None:
        """`audit_max_age_sec`: how long after a symbol's last read the stream alone vouches for it."""
        #: The symbols that are read again and again, so that the stream may vouch for them meanwhile.
        self.audited_symbols: Container[str] | None = None
        self._audit_max_age_sec = audit_max_age_sec
        self._sent: dict[str, Moment] = {}

    def read(self, symbol: str, sent: Moment) -> None:
        """The symbol was read by a request sent then; an answer that comes late undoes no later read."""
        self._sent[symbol] = max(sent, self._sent.get(symbol, sent))

    def sent(self, symbol: str) -> Moment | None:
        """When the symbol's latest read was sent."""
        return self._sent.get(symbol)

    def read_since(self, symbol: str, moment: Moment) -> bool:
        """Whether the symbol was read by a request sent then or later."""
        sent = self._sent.get(symbol)
        return sent is not None and sent >= moment

    def oldest_audit(self, now: Moment) -> Moment:
        """The moment before which a read is too old by now for the stream to vouch for what it showed."""
        return now.earlier_by(self._audit_max_age_sec)

    def audited_since(self, symbol: str, oldest: Moment) -> bool:
        """Whether the symbol is read again and again, and was read since then by both clocks of this host."""
        if self.audited_symbols is not None and symbol not in self.audited_symbols:
            return False
        sent = self._sent.get(symbol)
        return (
            sent is not None and sent.monotonic_sec >= oldest.monotonic_sec and sent.wall_ms >= oldest.wall_ms
        )


#: The pause between a read that showed a position, and not when it was so, and the next one (seconds).
UNDATED_POSITION_SEC = 0.5
#: A second witness has to be sent later than this; equal would not do.
_DISPUTED_POSITION_SEC = EVENT_IN_FLIGHT_SEC + 0.01


class Repeat(msgspec.Struct, frozen=True):
    """A read that is wanted: best sent at `due_sec` (monotonic), and not before `sent_after`.

    `cause` is the sending of the read, or the arrival of the push, that makes it wanted.
    """

    cause: Moment
    due_sec: float
    sent_after: Moment


class UndatedReads:
    """The symbols of one shard that wait for a read, and which of them are read again soon.

    A position that changed while it was read can be dated by another read or the stream alone; a disputed one
    is settled by another read (rules 5 to 7 of `brain.positions.merging`). The first such read of a symbol,
    and each new dispute, is followed by one read soon; where that settles nothing either, the usual interval
    does, until a position of the symbol is published.
    """

    def __init__(self) -> None:
        self._sent: dict[str, Moment] = {}
        self._disputed: dict[str, Moment] = {}
        self._to_repeat: dict[str, Repeat] = {}

    def withheld(self, symbol: str, sent: Moment) -> None:
        """A read of the symbol, sent then, could not be dated."""
        if symbol not in self._sent:
            # Half the pause suffices: every shard asks for this, so that they share one request.
            half = sent.earlier_by(-UNDATED_POSITION_SEC / 2)
            self._to_repeat[symbol] = Repeat(sent, sent.monotonic_sec + UNDATED_POSITION_SEC, half)
        self._sent[symbol] = sent

    def disputed(self, symbol: str, at: Moment) -> None:
        """The symbol is disputed since `at`: the sending of a read, or the arrival of a push."""
        if self._disputed.get(symbol) != at:
            self._disputed[symbol] = at
            later = at.earlier_by(-_DISPUTED_POSITION_SEC)
            self._to_repeat[symbol] = Repeat(at, later.monotonic_sec, later)

    def read(self, symbol: str, sent: Moment) -> None:
        """The symbol was read by a request sent then, whatever it showed."""
        repeat = self._to_repeat.get(symbol)
        if repeat is not None and sent >= repeat.sent_after:
            del self._to_repeat[symbol]

    def published(self, symbol: str) -> None:
        """The symbol's position is known, and when it was so."""
        self._sent.pop(symbol, None)
        self._disputed.pop(symbol, None)
        self._to_repeat.pop(symbol, None)

    def repeated(self, sent: Moment) -> None:
        """All symbols were read again, those that the exchange no longer shows included."""
        for symbol in list(self._to_repeat):
            self.read(symbol, sent)

    def symbols(self) -> list[str]:
        """The symbols whose latest read could not be dated."""
        return list(self._sent)

    def since(self, symbol: str) -> Moment | None:
        """The sending of the symbol's latest read, if it could not be dated."""
        return self._sent.get(symbol)

    def to_repeat(self, symbol: str | None = None) -> Repeat | None:
        """The read that is due first: of one symbol, or of all."""
        if symbol is not None:
            return self._to_repeat.get(symbol)
        return min(self._to_repeat.values(), key=lambda repeat: repeat.due_sec, default=None)


class UnmatchedFills:
    """The fills of one shard's symbols that no account update and no read has covered.

    An update covers what happened on its leg until its own time; a read covers what was told before it was
    sent. Whichever update gets lost, the fill that it belongs to stays here until a read.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, Leg], list[FillObserved]] = {}

    def expect_update_for(self, fill: FillObserved) -> None:
        """The account update of `fill` has not come yet."""
        self._waiting.setdefault((fill.symbol, fill.leg), []).append(fill)

    def updated(self, symbol: str, leg: Leg, update_time_ms: int) -> None:
        """The stream told what the leg was at `update_time_ms` (the exchange's clock)."""
        if (symbol, leg) in self._waiting:
            later = [f for f in self._waiting[symbol, leg] if f.transaction_ms > update_time_ms]
            self._keep(symbol, leg, later)

    def read(self, symbol: str, sent: Moment) -> None:
        """All legs of the symbol were read, by a request sent then."""
        for name, leg in list(self._waiting):
            if name == symbol:
                later = [fill for fill in self._waiting[name, leg] if fill.received > sent]
                self._keep(name, leg, later)

    def symbols(self) -> set[str]:
        """The symbols with such fills."""
        return {symbol for symbol, _leg in self._waiting}

    def oldest(self, symbol: str | None = None) -> Moment | None:
        """When the one that waits longest was told: of one symbol, or of all."""
        return min((fill.received for fill in self._of(symbol)), default=None)

    def _of(self, symbol: str | None) -> Iterator[FillObserved]:
        for (name, _leg), fills in self._waiting.items():
            if symbol in (None, name):
                yield from fills

    def _keep(self, symbol: str, leg: Leg, fills: list[FillObserved]) -> None:
        if fills:
            self._waiting[symbol, leg] = fills
        else:
            del self._waiting[symbol, leg]


class Cadence(msgspec.Struct, frozen=True):
    """Seconds between reads: without a trusted stream (`poll_sec`), and to audit it (`audit_sec`)."""

    poll_sec: float
    audit_sec: float

    def interval_sec(self, *, stream_proven: bool) -> float:
        """Seconds from one read to the next."""
        return self.audit_sec if stream_proven else self.poll_sec


#: How long the account update of a fill may be missing before positions are read instead.
FILL_WITHOUT_UPDATE_SEC = 1.0
_FIRST_RETRY_SEC = 0.5
_LONGEST_RETRY_SEC = 2.0
#: A float overflows at 1024 of them.
_MOST_DOUBLINGS = 10


def retry_sec(failures: int, cadence: Cadence) -> float:
    """The pause after so many (at least one) failures in a row."""
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return min(_FIRST_RETRY_SEC * 2.0**doublings, _LONGEST_RETRY_SEC, cadence.poll_sec)
