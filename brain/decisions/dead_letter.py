"""An entry that cannot be used, as text for its dead-letter stream."""

from __future__ import annotations

from collections.abc import Mapping

from brain.text_fields import cut_text

_LONGEST_DEAD_VALUE = 1024
_MOST_DEAD_FIELDS = 64


def dead_letter(fields: Mapping[bytes, bytes], *, entry_id: str, error: str) -> tuple[str, ...]:
    """An entry's fields as flat text for a dead-letter stream: what is no text escaped, what is long cut.

    Every name stands once: a field of the entry's own called `error` or `entry_id` becomes `original_error`
    or `original_entry_id`.
    """
    letter = {"entry_id": entry_id, "error": error}
    for name, value in list(fields.items())[:_MOST_DEAD_FIELDS]:
        text = cut_text(name, _LONGEST_DEAD_VALUE)
        letter[f"original_{text}" if text in letter else text] = cut_text(value, _LONGEST_DEAD_VALUE)
    return tuple(text for pair in letter.items() for text in pair)
