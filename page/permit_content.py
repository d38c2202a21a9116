"""An open permit on a page."""

from __future__ import annotations

import msgspec


class PermitRow(msgspec.Struct, frozen=True):
    """An open permit. `left_sec` is negative once it has ended; None where its text cannot be read."""

    symbol: str
    plan_id: str
    order: str
    left_sec: float | None
