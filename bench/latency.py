"""Arithmetic of latencies: pure functions of seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 < share <= 1) of the sorted values do not exceed.

    By nearest rank: always a measured value, never an interpolated one. Raises ValueError for no values.
    """
    if not ordered:
        raise ValueError("nothing was measured")
    if not 0 < share <= 1:
        raise ValueError(f"not a share: {share}")
    # Rounded first: 0.07 * 100 is a little above 7.
    return ordered[max(math.ceil(round(share * len(ordered), 6)), 1) - 1]


def intended_sec(begin_sec: float, rate: float, number: int) -> float:
    """Return the intended time of the `number`-th request (from 0) of an open loop of `rate` a second."""
    return begin_sec + number / rate


def open_loop_latencies(
    begin_sec: float, rate: float, answered_sec: Mapping[int, float], sent: int, gave_up_sec: float
) -> list[float]:
    """Return the latencies of an open loop, corrected for coordinated omission.

    Counted from the intended time of a request, not from its sending: a sender delayed by the measured
    system would otherwise leave out the slow requests. An unanswered one counts until `gave_up_sec`.
    `answered_sec` is by number of the request.
    """
    return [
        answered_sec.get(number, gave_up_sec) - intended_sec(begin_sec, rate, number)
        for number in range(sent)
    ]
