"""Contents of an adopted ledger: for each leg, the exchange's time of the last change that it includes."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from brain.positions.position import Leg, LegPosition

_LEG = re.compile(r"(BOTH|LONG|SHORT):([0-9]{1,19})", re.ASCII)


class AdoptedState(msgspec.Struct, frozen=True):
    """The exchange's times (ms) of the adopted legs' last changes. A leg not named contains nothing."""

    changed_ms: dict[Leg, int]

    def changed_ms_of(self, leg: Leg) -> int:
        """Return until when (ms) the fills of `leg` are contained; -1 where none is."""
        return self.changed_ms.get(leg, -1)


class Contained(msgspec.Struct, frozen=True):
    """The fills of a leg that an adopted ledger contains, by the exchange's times (ms) of the fills.

    `changed_ms` is the adopted row's date. `clock_ms` is the least that the exchange's clock, as it runs now,
    can have shown at the adoption. A date ahead of that comes from the row's own change, or the clock has
    been set back since: then a fill is contained if it is dated before `clock_ms`, or exactly `changed_ms`.
    """

    changed_ms: int
    clock_ms: int

    def holds(self, at_ms: int) -> bool:
        """Return True for a fill that the ledger contains."""
        return at_ms <= min(self.changed_ms, self.clock_ms) or at_ms == self.changed_ms


def adopted_state(legs: Iterable[LegPosition], seen_ms: int) -> AdoptedState:
    """Return what a ledger adopted from `legs` contains. `seen_ms`: the exchange's clock when they were so.

    A row without a date (a flat one: `updateTime` 0, or not shown at all) was so then, whenever it changed.
    """
    return AdoptedState({row.leg: row.dated_ahead_ms or row.update_time_ms or seen_ms for row in legs})


def encode_adopted(state: AdoptedState) -> str:
    """Encode as stored in the ledger: `BOTH:1700000000000`, or `LONG:1700000000000,SHORT:0`."""
    return ",".join(f"{leg}:{changed_ms}" for leg, changed_ms in state.changed_ms.items())


def decode_adopted(text: str | None) -> AdoptedState | None:
    """Decode the text of a ledger; None for a ledger that was not adopted, or for any other text."""
    if not text:
        return None
    changed_ms: dict[Leg, int] = {}
    for part in text.split(","):
        match = _LEG.fullmatch(part)
        if match is None:
            return None
        changed_ms[Leg(match[1])] = int(match[2])
    return AdoptedState(changed_ms)
