"""The kill score: its moving mean and variance, and the cut-offs that its deviation is compared with.

Binary64 in one order of operations: the same history gives the same bits on every machine.
"""

from __future__ import annotations

import msgspec


class KillStats(msgspec.Struct, frozen=True):
    """Statistics of one symbol and evaluation type after `n` observations, the last at `ts_ms` (Redis)."""

    n: int
    mean: float
    var: float
    ts_ms: int
