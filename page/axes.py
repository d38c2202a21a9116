"""Axes of charts over time: they fit what is there, with round numbers and times."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

#: Steps of a time axis in minutes; each divides a day.
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240)
_MOST_TIMES = 7
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_FEWEST_VALUES = 4


class Tick(msgspec.Struct, frozen=True):
    """A mark of an axis: its share of the axis' length from the left or from the top, and its text."""

    share: float
    text: str


class ValueAxis(msgspec.Struct, frozen=True):
    """An axis from `low` (at the bottom) to `high`."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def share(self, value: float) -> float:
        """Return the share of the height above a value."""
        return min(max((self.high - value) / (self.high - self.low), 0.0), 1.0)


def value_axis(low: float, high: float, text: Callable[[float], str]) -> ValueAxis:
    """Return an axis that holds zero and all values, and ends at round ones."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = 1.0
    step = _step((high - low) / _FEWEST_VALUES)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [number * step for number in range(first, last + 1)]
    bottom, top = values[0], values[-1]
    ticks = tuple(Tick((top - value) / (top - bottom), text(value)) for value in values)
    return ValueAxis(bottom, top, ticks)


def time_axis(begin: int, end: int) -> tuple[Tick, ...]:
    """Return marks at round times between two epoch minutes, 7 at most."""
    length = end - begin
    step = next((each for each in _TIME_STEPS if length / each <= _MOST_TIMES), _TIME_STEPS[-1])
    first = -(-begin // step) * step
    return tuple(Tick((at - begin) / length, hour_text(at)) for at in range(first, end, step))


def hour_text(minute: int) -> str:
    """Format an epoch minute as `12:04`, UTC."""
    return f"{datetime.fromtimestamp(minute * 60, UTC):%H:%M}"


def _step(least: float) -> float:
    """Return the smallest round number that is not below `least`."""
    size = 10.0 ** math.floor(math.log10(least))
    return next(each * size for each in _ROUND if each * size >= least * (1 - 1e-9))
