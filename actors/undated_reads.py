"""Symbols whose position may not be published yet, and when each of them is read again."""

from __future__ import annotations

import msgspec

from brain.merging import EVENT_IN_FLIGHT_SEC
from brain.moment import Moment

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
    is settled by another read (rules 5 to 7 of `brain.merging`). The first such read of a symbol, and each
    new dispute, is followed by one read soon; where that settles nothing either, the usual interval does,
    until a position of the symbol is published.
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
