"""Records of decision intelligence in the store."""

from __future__ import annotations

import msgspec

from brain.identifiers import EntryId

#: Life of a minute's counts, of a window, and of the decisions that were not understood (ms).
BUCKET_TTL_MS, WINDOW_TTL_MS, UNKNOWN_TTL_MS = 172_800_000, 86_400_000, 300_000
#: Most names of a minute; what comes then is counted as `other`.
MOST_UNKNOWN, MOST_REASONS, MOST_SYMBOL_FIELDS = 20, 200, 2_000
#: Most ids of results that were counted behind one that is pending.
MOST_AHEAD = 10_000


class CountedResult(msgspec.Struct, frozen=True, array_like=True):
    """A result to be counted. `minute` is that of its id; `gate` and `symbol` are empty for none."""

    entry_id: EntryId
    minute: str
    decision: str
    reason: str
    gate: str = ""
    symbol: str = ""


class WindowWrite(msgspec.Struct, frozen=True, array_like=True):
    """A window as a whole: pairs of name and count. What is empty is deleted."""

    name: str
    decisions: tuple[tuple[str, int], ...]
    reasons: tuple[tuple[str, int], ...]
    gates: tuple[tuple[str, int], ...]
