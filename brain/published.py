"""What was published, as text that any record can hold: bytes escaped, what is long cut."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_LONGEST_NAME = 64
_LONGEST_VALUE = 512
_MOST_CHARACTERS = 8 * 1024
#: The name of what stands for the fields that found no room.
LEFT_OUT = "…"


def published_fields(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """A stream entry's fields for a record, in their order and about 8 KB at most.

    A name or value that is too long is cut, with its length and digest; what then finds no room is counted
    under `LEFT_OUT`.
    """
    told: dict[str, str] = {}
    room = _MOST_CHARACTERS
    for name, value in fields.items():
        name_text, value_text = cut_text(name, _LONGEST_NAME), cut_text(value, _LONGEST_VALUE)
        room -= len(name_text) + len(value_text)
        if room < 0:
            told[LEFT_OUT] = f"{len(fields) - len(told)} more fields"
            break
        told[name_text] = value_text
    return told


def cut_text(raw: bytes, longest: int) -> str:
    """`raw` as text: bytes that are no UTF-8 escaped, cut after `longest` bytes, with length and SHA-256."""
    if len(raw) <= longest:
        return raw.decode(errors="backslashreplace")
    beginning = raw[:longest].decode(errors="backslashreplace")
    return f"{beginning}… ({len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()})"
