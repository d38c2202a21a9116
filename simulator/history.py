"""History of every position: the truth that tests compare the service's claims with.

Append-only. Each change carries two times in epoch milliseconds: the exchange's transaction time, which is
also in the events and in ``updateTime``, and this host's wall clock when the change took effect: it
is shown to no client before. They differ by the exchange's clock skew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import Decimal
from typing import Literal

import msgspec

PositionSide = Literal["BOTH", "LONG", "SHORT"]
HistoryClock = Literal["exchange", "host"]

FLAT = Decimal(0)


class PositionChange(msgspec.Struct, frozen=True, kw_only=True):
    """One fill's effect: ``amount`` is the signed position after it, ``delta`` what it added.

    A wipe or a restored older state is a change as well: unannounced, with ``order_id`` 0.
    """

    symbol: str
    position_side: PositionSide
    transaction_time_ms: int
    wall_time_ms: int
    amount: Decimal
    delta: Decimal
    price: Decimal
    client_order_id: str = ""
    order_id: int = 0
    announced: bool = False


class PositionHistory:
    """The changes of every (symbol, leg), oldest first."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, PositionSide], list[PositionChange]] = {}
        self._times_ms: dict[tuple[str, PositionSide, HistoryClock], list[int]] = {}

    def append(self, change: PositionChange) -> None:
        """Add the newest change of its leg.

        Where a clock was set back, or the account wiped or restored, its times may be earlier than those
        before; questions about those times are then answered as if it had happened at the latest of them.
        """
        symbol, side = change.symbol, change.position_side
        self._changes.setdefault((symbol, side), []).append(change)
        moments: dict[HistoryClock, int] = {
            "exchange": change.transaction_time_ms,
            "host": change.wall_time_ms,
        }
        for clock, time_ms in moments.items():
            times_ms = self._times_ms.setdefault((symbol, side, clock), [])
            # A clock that was set back must not unsort what is searched by bisection.
            times_ms.append(max(time_ms, times_ms[-1] if times_ms else 0))

    def changes(self, symbol: str, position_side: PositionSide = "BOTH") -> list[PositionChange]:
        return list(self._changes.get((symbol, position_side), ()))

    def legs(self) -> list[tuple[str, PositionSide]]:
        """Return every leg that ever changed, in the order of its first change."""
        return list(self._changes)

    def position_at(
        self,
        symbol: str,
        time_ms: int,
        position_side: PositionSide = "BOTH",
        *,
        clock: HistoryClock = "host",
    ) -> Decimal:
        """Return the signed position at the end of that millisecond; 0 before the first change."""
        times_ms = self._times_ms.get((symbol, position_side, clock), [])
        return self._amount_after(symbol, position_side, bisect_right(times_ms, time_ms))

    def positions_between(
        self,
        symbol: str,
        first_ms: int,
        last_ms: int,
        position_side: PositionSide = "BOTH",
        *,
        clock: HistoryClock = "host",
    ) -> set[Decimal]:
        """Return every value the position had at some moment of ``[first_ms, last_ms]``, both ends included.

        Several changes may share a millisecond; a claim about that millisecond is honest if it names any
        value of the set for ``first_ms == last_ms``.
        """
        times_ms = self._times_ms.get((symbol, position_side, clock), [])
        first = bisect_left(times_ms, first_ms)
        last = bisect_right(times_ms, last_ms)
        return {self._amount_after(symbol, position_side, index) for index in range(first, last + 1)}

    def _amount_after(self, symbol: str, position_side: PositionSide, count: int) -> Decimal:
        return self._changes[symbol, position_side][count - 1].amount if count else FLAT
