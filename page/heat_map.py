"""Snapshot ages as a map: a cell a symbol, always in the same place.

A grade has a colour and a shape: no meaning is in colour alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from operator import attrgetter

import msgspec
from markupsafe import Markup, escape

from explanation.printable import printable
from page.content import Ages, SymbolAge

#: Upper bounds as parts of the stale threshold; what is above the last is stale.
_BOUNDS = (0.1, 0.25, 0.5, 1.0)
_STALE, _UNTRUSTED = "stale", "untrusted"
_OLDEST_SHOWN = 12
#: So many cells, of the oldest snapshots, tell their symbol: more make a page too large to load each second.
_NAMED = 2_000
_AT_A_TIME = 125


class Grade(msgspec.Struct, frozen=True):
    """One entry of the legend."""

    name: str
    meaning: str
    count: int


class HeatMap(msgspec.Struct, frozen=True):
    """The cells as markup, the legend, and the same in numbers."""

    cells: Markup
    grades: tuple[Grade, ...]
    oldest: tuple[SymbolAge, ...]
    stale: int
    count: int
    unnamed: int
    oldest_sec: float | None
    median_sec: float | None


def heat_map(ages: Ages) -> Generator[None, None, HeatMap]:
    """Return the map of all snapshots, by name; yields between its parts, so that other tasks run."""
    threshold_sec = ages.stale_threshold_sec
    bounds_sec = [part * threshold_sec for part in _BOUNDS]
    counts: Counter[str] = Counter()
    cells: list[str] = []
    by_age = sorted(ages.snapshots, key=attrgetter("age_sec"), reverse=True)
    named = {each.symbol for each in by_age[:_NAMED]}
    yield
    for number, each in enumerate(sorted(ages.snapshots, key=attrgetter("symbol"))):
        grade = _grade(each, bounds_sec)
        counts[grade] += 1
        held = "" if each.amount is None else " held"
        title = f' title="{_title(each)}"' if each.symbol in named else ""
        cells.append(f'<li class="{grade}{held}"{title}></li>')
        if number % _AT_A_TIME == 0:
            yield
    return HeatMap(
        # Every part was escaped, or is a word of this module's own.
        Markup("".join(cells)),  # noqa: S704
        tuple(
            Grade(name, meaning, counts[name])
            for name, meaning in _legend(bounds_sec, threshold_sec)
            if counts[name] or name not in (_STALE, _UNTRUSTED)
        ),
        tuple(by_age[:_OLDEST_SHOWN]),
        counts[_STALE] + counts[_UNTRUSTED],
        len(by_age),
        len(by_age) - len(named),
        by_age[0].age_sec if by_age else None,
        by_age[len(by_age) // 2].age_sec if by_age else None,
    )


def _grade(each: SymbolAge, bounds_sec: list[float]) -> str:
    if not each.trusted:
        return _UNTRUSTED
    for number, bound_sec in enumerate(bounds_sec):
        if each.age_sec <= bound_sec:
            return f"age{number}"
    return _STALE


def _legend(bounds_sec: list[float], threshold_sec: float) -> list[tuple[str, str]]:
    rows = [(f"age{number}", f"up to {bound_sec:g} s") for number, bound_sec in enumerate(bounds_sec)]
    return [
        *rows,
        (_STALE, f"stale: over {threshold_sec:g} s"),
        (_UNTRUSTED, "not trusted: disputed, or trust was lost since"),
    ]


def _title(each: SymbolAge) -> str:
    position = "" if each.amount is None else f", position {each.amount}"
    return f"{escape(printable(each.symbol))} {each.age_sec:.1f} s{position}"
