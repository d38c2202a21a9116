"""JSON: decoding with a single type of error, and scalar values exactly as they were written.

msgspec raises RecursionError for deep nesting (neither a ValueError nor a DecodeError) and UnicodeDecodeError
for text that is not UTF-8. Both are unreadable text like any other.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from brain.identifiers import UnreadableFieldError, given

T = TypeVar("T")

_TEXT = msgspec.json.Decoder(str)


def read_json(decoder: msgspec.json.Decoder[T], text: bytes | bytearray | str | msgspec.Raw) -> T:
    """Decode `text`. Raises msgspec.DecodeError, and nothing else, for text that cannot be read."""
    try:
        return decoder.decode(text)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None
    except UnicodeError as error:
        raise msgspec.DecodeError(f"JSON is not UTF-8: {error}") from None


def utf8(text: bytes) -> str:
    """Return the text; members that a decoder skips need not be UTF-8. Raises msgspec.DecodeError."""
    try:
        return text.decode()
    except UnicodeError as error:
        raise msgspec.DecodeError(f"JSON is not UTF-8: {error}") from None


def scalar_text(raw: msgspec.Raw) -> str | None:
    """Return a JSON string's content, or a JSON number exactly as it was written; None for no value.

    Raises msgspec.DecodeError for text that is not UTF-8, UnreadableFieldError for anything else.
    """
    encoded = bytes(raw)
    if not encoded:
        return None
    if encoded.startswith(b'"'):
        return given(read_json(_TEXT, encoded))
    if encoded[:1] in b"-0123456789":
        return encoded.decode()
    if encoded == b"null":
        return None
    raise UnreadableFieldError(f"neither text nor a number: {encoded[:40].decode(errors='replace')}")


def lenient_scalar(raw: msgspec.Raw) -> str | None:
    """Return a value as `scalar_text` does; None also if it cannot be read."""
    try:
        return scalar_text(raw)
    except (UnreadableFieldError, msgspec.DecodeError):
        return None
