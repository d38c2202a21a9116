"""Calls of the history's store, for the tests that count every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from brain.history import Minute
from brain.identifiers import FencingToken
from brain.positions.exposure import Exposure
from store.execution_protocol import ServiceStore

Call = Callable[[ServiceStore, FencingToken], Awaitable[object]]

#: 2025-10-09, 08:53 UTC.
FIRST = 29_333_333


def a_minute(number: int = FIRST, **changes: Any) -> Minute:
    """A minute in which ten plans were allowed and three denied."""
    known: dict[str, Any] = {
        "seen_sec": 60,
        "allowed": {"sanity_checks_passed": 10},
        "denied": {"no_position": 2, "stale_snapshot": 1},
        "latency_ms": (4, 19, 40),
        "oldest_age_sec": 2.125,
        "weight": 120,
        "exposure": Exposure(Decimal("5000.5"), Decimal("-1200"), Decimal("17.25"), 1),
    }
    return Minute(number, **(known | changes))


async def write(store: ServiceStore, fence: FencingToken) -> object:
    """Write two minutes, the second twice, and read them."""
    wrote = [await store.write_minute(fence, a_minute(FIRST + ahead)) for ahead in (0, 1, 1)]
    return wrote, await store.minutes(FIRST, FIRST + 5)


WRITES: dict[str, Call] = {"write_minute": lambda store, fence: store.write_minute(fence, a_minute())}

EXAMPLES: dict[str, Call] = {
    "write_minute": write,
    "minutes": lambda store, _: store.minutes(FIRST, FIRST + 5),
}
