"""The arithmetic of latencies. Pure, so that it can be trusted; seconds in, milliseconds in `Spread`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """A distribution of latencies, in milliseconds."""

    count: int
    p50: float
    p99: float
    p999: float
    maximum: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 < share <= 1) of the sorted values do not exceed.

    By nearest rank: always a value that was measured, never one in between. Raises ValueError for no values.
    """
    if not ordered:
        raise ValueError("nothing was measured")
    if not 0 < share <= 1:
        raise ValueError(f"not a share: {share}")
    # Rounded first: 0.07 * 100 is a little more than 7.
    return ordered[max(math.ceil(round(share * len(ordered), 6)), 1) - 1]


def spread(latencies_sec: Sequence[float]) -> Spread:
    """The distribution of `latencies_sec`. Raises ValueError for none."""
    ordered = sorted(latencies_sec)
    p50, p99, p999 = (percentile(ordered, share) * 1000 for share in (0.5, 0.99, 0.999))
    return Spread(len(ordered), p50, p99, p999, ordered[-1] * 1000)


def intended_sec(begin_sec: float, rate: float, number: int) -> float:
    """When the `number`-th request (from 0) of an open loop of `rate` a second has to be sent."""
    return begin_sec + number / rate


def open_loop_latencies(
    begin_sec: float, rate: float, answered_sec: Mapping[int, float], sent: int, gave_up_sec: float
) -> list[float]:
    """Latencies of an open loop, corrected for coordinated omission.

    Counted from when a request had to be sent, not from when it was: a sender that is held up by the system
    that it measures would otherwise leave out just the requests that would have waited. One that was never
    answered has waited until `gave_up_sec`. `answered_sec` is by number of the request.
    """
    return [
        answered_sec.get(number, gave_up_sec) - intended_sec(begin_sec, rate, number)
        for number in range(sent)
    ]
