"""Dead letters: entries that cannot be used, as text."""

from __future__ import annotations

from collections.abc import Mapping

from brain.identifiers import EntryId
from brain.text_fields import truncate

_LONGEST_DEAD_VALUE = 1024
_MOST_DEAD_FIELDS = 64


def dead_letter(fields: Mapping[bytes, bytes], *, entry_id: EntryId, error: str) -> tuple[str, ...]:
    """Return an entry's fields as flat text for a dead-letter stream: bytes escaped, long values truncated.

    Every name is unique: a field of the entry called `error` or `entry_id` becomes `original_error`
    or `original_entry_id`.
    """
    letter = {"entry_id": entry_id, "error": error}
    for name, value in list(fields.items())[:_MOST_DEAD_FIELDS]:
        text = truncate(name, _LONGEST_DEAD_VALUE)
        letter[f"original_{text}" if text in letter else text] = truncate(value, _LONGEST_DEAD_VALUE)
    return tuple(text for pair in letter.items() for text in pair)
