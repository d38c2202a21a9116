"""Reads of one shard that are due before the interval is over: for ambiguous reads, disputes and fills."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from brain.moment import Moment
from brain.positions.merging import EVENT_IN_FLIGHT_SEC
from brain.positions.position import Leg
from channels import FillObserved

#: Pause between an ambiguous read and the next one (seconds).
_AMBIGUOUS_SEC = 0.5
#: A second witness must be sent more than `EVENT_IN_FLIGHT_SEC` after the first (rule 7).
_DISPUTED_SEC = EVENT_IN_FLIGHT_SEC + 0.01


class Repeat(msgspec.Struct, frozen=True):
    """A read that is due at `due_sec` (monotonic), to be sent after `sent_after`.

    `cause` is the sending of the ambiguous read, or of the read or the arrival of the push that is disputed.
    """

    cause: Moment
    due_sec: float
    sent_after: Moment
    disputed: bool


class AmbiguousReads:
    """Symbols whose position changed while it was read (rule 11) or is disputed (rule 12), and their repeats.

    The first ambiguous read of a symbol and each new dispute are followed by one read soon. If that resolves
    nothing, no other one follows soon until a position of the symbol is published (rule 20).
    """

    def __init__(self) -> None:
        self._sent: dict[str, Moment] = {}
        self._disputed: dict[str, Moment] = {}
        self._repeats: dict[str, Repeat] = {}

    def add(self, symbol: str, sent: Moment) -> None:
        """Record that a read of the symbol, sent then, was ambiguous."""
        if symbol not in self._sent:
            # A read sent after half the pause suffices, so that all shards share one request.
            half_way = sent.earlier_by(-_AMBIGUOUS_SEC / 2)
            self._repeats[symbol] = Repeat(sent, sent.monotonic_sec + _AMBIGUOUS_SEC, half_way, False)
        self._sent[symbol] = sent

    def dispute(self, symbol: str, at: Moment) -> None:
        """Record a dispute of the symbol since `at`: the sending of a read, or the arrival of a push."""
        if self._disputed.get(symbol) != at:
            self._disputed[symbol] = at
            later = at.earlier_by(-_DISPUTED_SEC)
            self._repeats[symbol] = Repeat(at, later.monotonic_sec, later, True)

    def repeated(self, symbol: str | None, sent: Moment) -> None:
        """Record a read of the symbol, or of all (None), sent then, whatever it showed."""
        if not self._repeats:
            return
        for name in list(self._repeats) if symbol is None else (symbol,):
            if name in self._repeats and sent >= self._repeats[name].sent_after:
                del self._repeats[name]

    def resolved(self, symbol: str) -> None:
        """Forget the symbol: its position is published."""
        self._sent.pop(symbol, None)
        self._disputed.pop(symbol, None)
        self._repeats.pop(symbol, None)

    def symbols(self) -> list[str]:
        """Return the symbols whose latest read was ambiguous."""
        return list(self._sent)

    def since(self, symbol: str) -> Moment | None:
        """Return the sending of the symbol's latest read if that was ambiguous."""
        return self._sent.get(symbol)

    def repeat(self, symbol: str | None = None) -> Repeat | None:
        """Return the read that is due first, of one symbol or of all (None)."""
        if symbol is not None:
            return self._repeats.get(symbol)
        return min(self._repeats.values(), key=lambda repeat: repeat.due_sec, default=None)


class UnmatchedFills:
    """Fills that no account update and no read has covered (rule 19)."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, Leg], list[FillObserved]] = {}

    def add(self, fill: FillObserved) -> None:
        """Expect the account update of `fill`."""
        self._waiting.setdefault((fill.symbol, fill.leg), []).append(fill)

    def updated(self, symbol: str, leg: Leg, update_time_ms: int) -> None:
        """Record an account update of the leg, dated `update_time_ms` (the exchange's clock)."""
        if (symbol, leg) in self._waiting:
            later = [f for f in self._waiting[symbol, leg] if f.transaction_ms > update_time_ms]
            self._keep(symbol, leg, later)

    def read(self, symbol: str | None, sent: Moment) -> None:
        """Record a read, sent then, of all legs of the symbol, or of all symbols (None)."""
        if not self._waiting:
            return
        for name, leg in list(self._waiting):
            if symbol in (None, name):
                later = [fill for fill in self._waiting[name, leg] if fill.received > sent]
                self._keep(name, leg, later)

    def symbols(self) -> set[str]:
        """Return the symbols with such fills."""
        return {symbol for symbol, _leg in self._waiting}

    def oldest(self, symbol: str | None = None) -> Moment | None:
        """Return the arrival of the fill that waits longest, of one symbol or of all (None)."""
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
