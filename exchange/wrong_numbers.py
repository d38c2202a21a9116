"""Decoder of JSON with unquoted `NaN` and `Infinity`, which are read as null.

One such number makes the whole text malformed, and every row of an answer unreadable.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from brain.json_text import read_json

T = TypeVar("T")

_WRONG_NUMBER = re.compile(rb"(?<=[:\[,])\s*-?(?:NaN|Infinity)\s*(?=[,}\]])")
#: Longest text that is searched for them, so that the search never blocks the loop (bytes).
_LONGEST = 4_000_000


def read_exchange_json(decoder: msgspec.json.Decoder[T], text: bytes | str) -> T:
    """Decode `text`, wrong numbers as null. Raises msgspec.DecodeError."""
    try:
        return read_json(decoder, text)
    except msgspec.DecodeError:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > _LONGEST:
            raise
        corrected, count = _WRONG_NUMBER.subn(b"null", raw)
        if not count:
            raise
    return read_json(decoder, corrected)
