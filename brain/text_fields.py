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
    if (short := _uncut(fields)) is not None:
        return short
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


def _uncut(fields: Mapping[bytes, bytes]) -> dict[str, str] | None:
    """The fields if all are text and nothing has to be cut or left out, as with every honest plan; else None.

    They are decoded in one go, which takes a third of the time; None, too, where that cannot be undone.
    """
    if max(map(len, fields), default=0) > _LONGEST_NAME:
        return None
    if max(map(len, fields.values()), default=0) > _LONGEST_VALUE:
        return None
    joined = b"\0".join([*fields, *fields.values()])
    if len(joined) > _MOST_CHARACTERS:
        return None
    try:
        texts = joined.decode().split("\0")
    except UnicodeDecodeError:
        return None
    count = len(fields)
    return dict(zip(texts[:count], texts[count:], strict=True)) if len(texts) == 2 * count else None


def cut_text(raw: bytes, longest: int) -> str:
    """`raw` as text: bytes that are no UTF-8 escaped, cut after `longest` bytes, with length and SHA-256."""
    if len(raw) <= longest:
        return raw.decode(errors="backslashreplace")
    beginning = raw[:longest].decode(errors="backslashreplace")
    return f"{beginning}… ({len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()})"
