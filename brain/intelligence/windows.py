"""Counts of results by minute, and the windows that are their sums."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from brain.intelligence.outcome import Outcome
from brain.intelligence.reasons import LONGEST_NAME, NO_REASON

#: Minutes of each window, the present one included.
WINDOWS: Final[Mapping[str, int]] = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
#: The window of the log line, and of the decisions that were not understood.
SHOWN_WINDOW: Final = "5m"
#: Name under which all others of their kind are counted where there are too many.
OTHER: Final = "other"
#: Most reasons of a window in Redis.
MOST_TOP: Final = 50
_MOST_UNKNOWN: Final = 50
_MOST_GATES: Final = 200
_MOST_LOGGED: Final = 5
_UNKNOWN: Final = f"{Outcome.UNKNOWN}:"
_MINUTE_MS: Final = 60_000
#: 9999-12-31: the last minute that has a name.
_LATEST_MS: Final = 253_402_300_740_000
_OF_SYMBOLS: Final = b"symbol_reason:"
_COUNT = re.compile(rb"[0-9]{1,15}")


class Counts(msgspec.Struct, frozen=True):
    """Numbers of results by decision, by reason, and by `<gate>:<reason>` of those that were stopped."""

    decisions: Counter[str]
    reasons: Counter[str]
    gates: Counter[str]

    @property
    def results(self) -> int:
        """Number of results: each has one decision."""
        return sum(self.decisions.values())

    def of(self, outcome: Outcome) -> int:
        """Return the number of results with an outcome; of UNKNOWN all of them."""
        if outcome is not Outcome.UNKNOWN:
            return self.decisions[outcome.value]
        return sum(count for name, count in self.decisions.items() if name.startswith(Outcome.UNKNOWN))

    def top_reasons(self, most: int = MOST_TOP) -> list[tuple[str, int]]:
        """Return the most frequent reasons first, those of equal number by name."""
        return _ranked(self.reasons)[:most]

    def top_causes(self, most: int) -> list[tuple[str, int]]:
        """Return the most frequent reasons less `none`."""
        return [each for each in _ranked(self.reasons) if each[0] != NO_REASON][:most]

    def unknown_decisions(self) -> list[tuple[str, int]]:
        """Return the texts that were not understood, the most frequent first."""
        unknown = {name: count for name, count in self.decisions.items() if name.startswith(_UNKNOWN)}
        return [(name.removeprefix(_UNKNOWN), count) for name, count in _ranked(unknown)]


def minute_of(epoch_ms: int) -> str:
    """Return the name of a minute, `YYYYMMDDHHMM` in UTC. A time after the year 9999 counts as its end."""
    return f"{datetime.fromtimestamp(min(epoch_ms, _LATEST_MS) // 1000, UTC):%Y%m%d%H%M}"


def minutes_until(now_ms: int) -> list[str]:
    """Return the names of the minutes of the longest window, the present one first."""
    return [minute_of(max(now_ms - back * _MINUTE_MS, 0)) for back in range(max(WINDOWS.values()))]


def read_bucket(fields: Mapping[bytes, bytes]) -> Counts:
    """Read the stored counts of a minute. Fields of symbols, and those that are no counts, are left out."""
    counts = Counts(Counter(), Counter(), Counter())
    kinds = {"decision": counts.decisions, "reason": counts.reasons, "gate": counts.gates}
    for field, value in fields.items():
        if field.startswith(_OF_SYMBOLS):  # most of them, by far
            continue
        kind, _, name = field.decode(errors="replace").partition(":")
        if name and kind in kinds and _COUNT.fullmatch(value):
            kinds[kind][name[: 2 * LONGEST_NAME]] += int(value)
    return counts


def window_of(minutes: Iterable[Counts]) -> Counts:
    """Return the sum of minutes. Of many names the rarest are counted together as `other`."""
    decisions, reasons, gates = Counter[str](), Counter[str](), Counter[str]()
    for each in minutes:
        decisions.update(each.decisions)
        reasons.update(each.reasons)
        gates.update(each.gates)
    understood = Counter({outcome.value: decisions.pop(outcome.value, 0) for outcome in Outcome})
    return Counts(
        +understood + _bounded(decisions, _MOST_UNKNOWN, lambda _: f"{_UNKNOWN}{OTHER}"),
        reasons,
        _bounded(gates, _MOST_GATES, lambda name: f"{name.partition(':')[0]}:{OTHER}"),
    )


def distribution_line(counts: Counts) -> str:
    """Return the log line of the window of 5 min, word for word as in docs/contract.md."""
    shown = " ".join(
        f"{outcome}={counts.of(outcome)}"
        for outcome in (Outcome.EXECUTE, Outcome.BLOCKED, Outcome.SKIP, Outcome.ERROR)
    )
    reasons = "".join(f" reason={name}:{count}" for name, count in counts.top_causes(_MOST_LOGGED))
    unknown = counts.of(Outcome.UNKNOWN)
    return (
        f"P3.5 gate distribution {SHOWN_WINDOW}: {shown}{reasons}{f' UNKNOWN={unknown}' if unknown else ''}"
    )


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _bounded(counts: Counter[str], most: int, other: Callable[[str], str]) -> Counter[str]:
    """Return the counts with those that rank behind `most` added up under their `other` name."""
    if len(counts) <= most:
        return counts
    bounded = Counter[str]()
    for rank, (name, count) in enumerate(_ranked(counts)):
        bounded[name if rank < most else other(name)] += count
    return bounded
