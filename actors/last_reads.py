"""When which symbol was read last, and whether the stream may vouch for it since."""

from __future__ import annotations

from collections.abc import Container

from brain.moment import Moment

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
