"""Delays that grow with each failure in a row."""

import sys

import msgspec


class GrowingDelay(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential delays (seconds): `initial_sec` after the first failure, never more than `maximum_sec`."""

    initial_sec: float
    maximum_sec: float
    factor: float = 2.0

    def after(self, failures: int) -> float:
        """Return the delay after so many (at least one) failures in a row."""
        try:
            growth = float(self.factor) ** (failures - 1)
        except OverflowError:
            growth = sys.float_info.max
        return min(self.initial_sec * growth, self.maximum_sec)
