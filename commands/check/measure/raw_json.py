"""JSON of the exchange, read only as far as a measurement asks."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.json_text import read_json
from exchange import wire
from exchange.errors import ExchangeUnavailable
from exchange.exact import finite_or_none

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RawRow(msgspec.Struct, frozen=True):
    """An object of an answer: its members as they were written."""

    members: dict[str, msgspec.Raw]

    @property
    def keys(self) -> tuple[str, ...]:
        """The members' names, in the order of the answer."""
        return tuple(self.members)

    def text(self, name: str) -> str:
        """Return a member as it was written, quotation marks included; "absent" where there is none."""
        return bytes(self.members[name]).decode(errors="replace") if name in self.members else "absent"

    def plain(self, name: str) -> str:
        """Return a member without quotation marks; "" where there is none."""
        return self.text(name).strip('"') if name in self.members else ""

    def number(self, name: str) -> Decimal | None:
        """Return a member that is a number, or text of one; None for everything else."""
        return finite_or_none(self.plain(name))


def row_of(raw: bytes | str | msgspec.Raw) -> RawRow:
    """Return a single object. Raises ExchangeUnavailable."""
    try:
        return RawRow(read_json(_MEMBERS, raw))
    except msgspec.DecodeError as error:
        raise ExchangeUnavailable(f"unreadable answer: {error}") from None


def rows_of(raw: bytes | str) -> tuple[RawRow, ...]:
    """Return the objects of an array. Raises ExchangeUnavailable."""
    try:
        return tuple(row_of(each) for each in read_json(wire.ROWS, raw))
    except msgspec.DecodeError as error:
        raise ExchangeUnavailable(f"unreadable answer: {error}") from None
