"""Reads that showed a position, and not when it was so."""

from __future__ import annotations

from brain.moment import Moment


class UndatedReads:
    """The symbols of one shard whose position nobody may be told yet, and which of them are read again soon.

    Such a position changed while it was read: only another read, or the stream, can tell when it was so. The
    first such read of a symbol wants to be repeated soon; where the next one dates nothing either, there is
    no haste that would help, until a position of the symbol is published.
    """

    def __init__(self) -> None:
        self._sent: dict[str, Moment] = {}
        self._to_repeat: dict[str, Moment] = {}

    def withheld(self, symbol: str, sent: Moment) -> None:
        """What a read of the symbol showed, sent then, is kept back."""
        if symbol in self._sent:
            self._to_repeat.pop(symbol, None)
        else:
            self._to_repeat[symbol] = sent
        self._sent[symbol] = sent

    def published(self, symbol: str) -> None:
        """It is known when the symbol's position was so."""
        self._sent.pop(symbol, None)
        self._to_repeat.pop(symbol, None)

    def repeated(self, sent: Moment) -> None:
        """All symbols were read again, those that the exchange no longer shows included."""
        self._to_repeat = {symbol: at for symbol, at in self._to_repeat.items() if at >= sent}

    def symbols(self) -> list[str]:
        """The symbols whose latest read is kept back."""
        return list(self._sent)

    def since(self, symbol: str) -> Moment | None:
        """When the symbol's latest read was sent, if it is kept back."""
        return self._sent.get(symbol)

    def to_repeat(self, symbol: str | None = None) -> Moment | None:
        """When the oldest read was sent that wants another one soon: of one symbol, or of all."""
        if symbol is not None:
            return self._to_repeat.get(symbol)
        return min(self._to_repeat.values(), default=None)
