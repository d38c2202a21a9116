"""Marks of notices that a person has seen, as `p33:seen` keeps them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.json_text import read_json

MOST_MARKS = 1000


class SeenMark(msgspec.Struct, frozen=True):
    """Name of the person, and the end of the mark (epoch ms, Redis's clock)."""

    by: str
    until_ms: int


def seen_field(kind: str, subject: str) -> str:
    """Return the field of a notice."""
    return f"{kind}|{subject}"


def encode_mark(mark: SeenMark) -> str:
    """Return the mark as it is stored."""
    return msgspec.json.encode(mark).decode()


def decode_mark(text: bytes) -> SeenMark | None:
    """Return a stored mark; None for a text that is none."""
    try:
        return read_json(_MARK, text)
    except msgspec.DecodeError:
        return None


def read_marks(stored: Mapping[bytes, bytes], now_ms: int) -> dict[str, SeenMark]:
    """Return the marks that are not over, by field."""
    marks = {field.decode(errors="replace"): decode_mark(text) for field, text in stored.items()}
    return {field: mark for field, mark in marks.items() if mark is not None and mark.until_ms > now_ms}


_MARK = msgspec.json.Decoder(SeenMark)
