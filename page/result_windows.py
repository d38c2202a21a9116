"""Results of executors as the page shows them: windows by decision, and what stopped plans."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from page.tone import Tone


class ResultCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Results of the last minutes by decision. `window` is `1m`, `5m` and so on."""

    window: str
    decisions: Mapping[str, int]


class Stop(msgspec.Struct, frozen=True):
    """A gate and a reason that stopped plans, with the number of their results."""

    gate: str
    reason: str
    count: int


class ResultWindows(msgspec.Struct, frozen=True, kw_only=True):
    """Decision intelligence: its state in words, and its windows.

    `stops` are the most frequent of 5 minutes; `unknown`: decisions in that time that were not understood.
    """

    state: str
    tone: Tone
    doing: str
    windows: tuple[ResultCounts, ...]
    stops: tuple[Stop, ...]
    unknown: tuple[tuple[str, int], ...]
