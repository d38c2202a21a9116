"""Dead letters: entries that cannot be used, as text."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from brain.identifiers import EntryId
from brain.text_fields import truncate

_LONGEST_DEAD_VALUE = 1024
_MOST_DEAD_FIELDS = 64
_OWN_FIELDS = (b"entry_id", b"error")
_RENAMED = {b"original_" + name: name for name in _OWN_FIELDS}
_CUT = re.compile("… \\([0-9]+ bytes, sha256 [0-9a-f]{64}\\)".encode())
_ESCAPED = re.compile(rb"\\x[0-9a-f]{2}")
_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}", re.ASCII)


class NoOriginalError(ValueError):
    """A dead letter from which the original entry cannot be restored."""


class Original(msgspec.Struct, frozen=True):
    """The entry that a dead letter was made of."""

    entry_id: EntryId
    fields: Mapping[bytes, bytes]

    @property
    def published_ms(self) -> int:
        """Time of its id (Redis's clock, epoch ms)."""
        return int(self.entry_id.partition("-")[0])


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


def original_of(letter: Mapping[bytes, bytes]) -> Original:
    """Return the entry that `dead_letter` made the letter of. Raises NoOriginalError where it kept less."""
    entry_id = letter.get(b"entry_id", b"").decode(errors="replace")
    if not _ENTRY_ID.fullmatch(entry_id):
        raise NoOriginalError("the letter does not name the entry that it was made of")
    fields = {_RENAMED.get(name, name): value for name, value in letter.items() if name not in _OWN_FIELDS}
    if not fields:
        raise NoOriginalError("the letter has no field of the entry: it was trimmed before it was read")
    if len(fields) >= _MOST_DEAD_FIELDS:
        raise NoOriginalError(f"the letter keeps {_MOST_DEAD_FIELDS} fields, the entry may have had more")
    for name, value in fields.items():
        if _CUT.search(name) or _CUT.search(value):
            raise NoOriginalError(f"the letter has the beginning of field {_shown(name)} alone")
        if _ESCAPED.search(name) or _ESCAPED.search(value):
            raise NoOriginalError(f"field {_shown(name)} had bytes that are no text")
    return Original(EntryId(entry_id), fields)


def _shown(name: bytes) -> str:
    return truncate(name, 40)
