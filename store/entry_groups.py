"""Groups of recovered entries that are handled together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from brain.identifiers import EntryId
from store.records import Entry


def apart(entries: Iterable[Entry], has_failed: Callable[[EntryId], bool]) -> list[list[Entry]]:
    """Return the entries in their order, in groups, each that has failed by itself."""
    groups: list[list[Entry]] = []
    is_closed = True
    for entry in entries:
        alone = has_failed(entry.id)
        if alone or is_closed:
            groups.append([])
        groups[-1].append(entry)
        is_closed = alone
    return groups
