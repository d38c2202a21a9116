"""One agreement of position and ledger, and the texts of amounts and versions that it has."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

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

    def legs(self) -> dict[Leg, Decimal]:
        """Return the amounts of each leg at the moment itself; none for unknown."""
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
