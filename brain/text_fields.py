"""Stream entries as text for records: invalid bytes escaped, long values truncated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_LONGEST_NAME = 64
_LONGEST_VALUE = 512
_MOST_CHARACTERS = 8 * 1024
#: Name of the field that counts those which were left out.
LEFT_OUT = "…"


def text_fields(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return a stream entry's fields for a record, in their order, about 8 KB at most.

    A long name or value is truncated, with its length and digest. Fields beyond 8 KB are counted under
    `LEFT_OUT`.
    """
    if (short := _uncut(fields)) is not None:
        return short
    texts: dict[str, str] = {}
    room = _MOST_CHARACTERS
    for name, value in fields.items():
        name_text, value_text = truncate(name, _LONGEST_NAME), truncate(value, _LONGEST_VALUE)
        room -= len(name_text) + len(value_text)
        if room < 0:
            texts[LEFT_OUT] = f"{len(fields) - len(texts)} more fields"
            break
        texts[name_text] = value_text
    return texts


def _uncut(fields: Mapping[bytes, bytes]) -> dict[str, str] | None:
    """Return the fields if all are UTF-8 and fit untruncated, as in most plans; else None.

    One decoding of all takes a third of the time; None, too, where the text cannot be split again.
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


def truncate(raw: bytes, longest: int) -> str:
    """Return `raw` as text: invalid UTF-8 escaped; beyond `longest` bytes cut, with length and SHA-256."""
    if len(raw) <= longest:
        return raw.decode(errors="backslashreplace")
    beginning = raw[:longest].decode(errors="backslashreplace")
    return f"{beginning}… ({len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()})"
