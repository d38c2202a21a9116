"""What an adopted ledger contains: for each leg, the exchange's time of the last change it includes."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from brain.position import Leg, LegPosition

_LEG = re.compile(r"(BOTH|LONG|SHORT):([0-9]{1,15})", re.ASCII)


class AdoptedState(msgspec.Struct, frozen=True):
    """The exchange's times (ms) of the adopted legs' last changes. A leg not named contains nothing."""

    changed_ms: dict[Leg, int]

    def changed_ms_of(self, leg: Leg) -> int:
        """Fills of `leg` until then are contained; -1 where none is."""
        return self.changed_ms.get(leg, -1)


def adopted_state(legs: Iterable[LegPosition]) -> AdoptedState:
    """What a ledger adopted from `legs` contains."""
    return AdoptedState({row.leg: row.update_time_ms for row in legs})


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
