"""Results of executors as the page shows them: windows by decision, and what stopped plans."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from page.tone import Tone


class ResultCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Results of the last minutes by decision, and what stopped the most of them by `<gate>:<reason>`."""

    window: str
    decisions: Mapping[str, int]
    gates: tuple[tuple[str, int], ...]


class ResultWindows(msgspec.Struct, frozen=True, kw_only=True):
    """Decision intelligence: its state in words, and its windows; `unknown`: decisions not understood."""

    state: str
    tone: Tone
    doing: str
    windows: tuple[ResultCounts, ...]
    unknown: tuple[tuple[str, int], ...]
