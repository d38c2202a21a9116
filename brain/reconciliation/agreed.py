"""One agreement of position and ledger: texts of amounts and versions, and ledgers compared with them."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from brain.ledger.ledger import StoredLedger
from brain.numbers import NotANumberError, parse_decimal
from brain.positions.position import Leg


class Agreed(NamedTuple):
    """Moment at which both agreed (the exchange's clock, ms), with the ledger's amounts and version.

    `amounts`: as `amounts_text` returns them, empty for unknown. `version` is None for unknown. Both are
    later ones where bookings have been taken in since. `began`: the amounts at the moment itself, empty for
    unknown.
    """

    at_ms: int
    amounts: str
    version: str | None
    began: str = ""

    def legs_before(self, stored: StoredLedger, version: str | None) -> dict[Leg, Decimal]:
        """Return the amounts of each leg at the moment itself, of a ledger that has moved since; else none.

        None for unknown, too. One that has not moved contains what it did then.
        """
        if version == self.version and has_amounts(stored, self.amounts):
            return {}
        texts = self.began.split("|")
        legs = {1: (Leg.BOTH,), 3: (Leg.LONG, Leg.SHORT)}.get(len(texts), ())
        try:
            return {leg: parse_decimal(text) for leg, text in zip(legs, texts[-len(legs) :], strict=False)}
        except NotANumberError:
            return {}


def amounts_text(total: str, long: str | None = None, short: str | None = None) -> str:
    """Return amounts of a ledger as one text; without legs in one-way mode."""
    return total if long is None or short is None else f"{total}|{long}|{short}"


def is_before(version: str | None, other: str) -> bool:
    """Return True unless a ledger's version is known to be the other one or a later one."""
    if version is None or not (version.isdigit() and other.isdigit()):
        return version != other
    return int(version) < int(other)


def amounts_of(stored: StoredLedger) -> tuple[str, ...]:
    """Return sum, long and short of a ledger as stored; 0 where one is missing."""
    return tuple(text or "0" for text in (stored.last_known_amt, stored.long_amt, stored.short_amt))


def has_amounts(stored: StoredLedger, amounts: str) -> bool:
    """Return whether a ledger is stored with these amounts, in whatever form; 0 where one is missing."""
    return all(
        _is_same(one, other) for one, other in zip(amounts_of(stored), amounts.split("|"), strict=False)
    )


def _is_same(one: str, other: str) -> bool:
    try:
        return one == other or parse_decimal(one) == parse_decimal(other)
    except NotANumberError:
        return False
