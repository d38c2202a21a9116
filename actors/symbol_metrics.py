"""Metrics with a series for each symbol: thousands of lines a scrape, which share their loop with decisions.

The library's general way takes ten times as long for them, so they are kept and written here. Source of the
format: Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.metric_catalogue import Declared

#: Far above symbols x reasons; only a sender that takes labels from outside could get there.
_MOST_SERIES = 20_000


class _Series:
    """One line: what stands before the value, and the value."""

    __slots__ = ("head", "value")

    def __init__(self, head: str) -> None:
        self.head = head
        self.value = 0.0


class SymbolFamily:
    """A counter or gauge with a `symbol` label, moved by events."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._adds = declared.kind == "counter"
        self._series: dict[tuple[str, ...], _Series] = {}

    def move(self, labels: tuple[str, ...], value: float) -> bool:
        """Add to the counter, or set the gauge. False when there is no room for one more series."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= _MOST_SERIES:
                return False
            head = f"{self.declared.name}{label_text(self.declared.labels, labels)} "
            series = self._series[labels] = _Series(head)
        series.value = series.value + value if self._adds else value
        return True

    def by_symbol(self) -> dict[str, float]:
        """The value of each series by its symbol, for a family without other labels."""
        return {labels[0]: series.value for labels, series in self._series.items()}

    def exposition(self) -> str:
        """The family as text."""
        lines = [f"{series.head}{series.value!r}\n" for series in self._series.values()]
        return preamble(self.declared) + "".join(lines)


def preamble(declared: Declared) -> str:
    """The lines before a family's series."""
    return f"# HELP {declared.name} {declared.meaning}\n# TYPE {declared.name} {declared.kind}\n"


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """Labels as they stand between a name and its value."""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
