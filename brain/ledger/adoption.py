"""What an adopted ledger contains: for each leg, the exchange's time of the last change it includes."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from brain.positions.position import Leg, LegPosition

_LEG = re.compile(r"(BOTH|LONG|SHORT):([0-9]{1,15})", re.ASCII)


class AdoptedState(msgspec.Struct, frozen=True):
    """The exchange's times (ms) of the adopted legs' last changes. A leg not named contains nothing."""

    changed_ms: dict[Leg, int]

    def changed_ms_of(self, leg: Leg) -> int:
        """Fills of `leg` until then are contained; -1 where none is."""
        return self.changed_ms.get(leg, -1)


class Contained(msgspec.Struct, frozen=True):
    """Which fills of a leg an adopted ledger contains, by the exchange's times (ms) of the fills.

    `changed_ms` is the adopted row's date. `clock_ms` is what the exchange's clock, as it runs now, showed at
    the adoption. A date ahead of that orders nothing: the row's own change was dated so, or the clock has
    been set back since. What happened before the adoption is then told by the clock alone.
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
    return AdoptedState({row.leg: row.update_time_ms or seen_ms for row in legs})


def encode_adopted(state: AdoptedState) -> str:
    """As stored in the ledger: `BOTH:1700000000000`, or `LONG:1700000000000,SHORT:0`."""
    return ",".join(f"{leg}:{changed_ms}" for leg, changed_ms in state.changed_ms.items())


def decode_adopted(text: str | None) -> AdoptedState | None:
    """What `text` encodes; None for nothing, or for anything else: a ledger that was not adopted."""
    if not text:
        return None
    changed_ms: dict[Leg, int] = {}
    for part in text.split(","):
        match = _LEG.fullmatch(part)
        if match is None:
            return None
        changed_ms[Leg(match[1])] = int(match[2])
    return AdoptedState(changed_ms)
