"""JSON decoding with a single type of error.

msgspec raises RecursionError for deep nesting (neither a ValueError nor a DecodeError) and UnicodeDecodeError
for text that is not UTF-8. Both are unreadable text like any other.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_json(decoder: msgspec.json.Decoder[T], text: bytes | bytearray | str | msgspec.Raw) -> T:
    """Decode `text`. Raises msgspec.DecodeError, and nothing else, for text that cannot be read."""
    try:
        return decoder.decode(text)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None
    except UnicodeError as error:
        raise msgspec.DecodeError(f"JSON is not UTF-8: {error}") from None
