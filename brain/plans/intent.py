"""Intents: the symbols that may soon be traded."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.identifiers import UnreadableFieldError, field_text, is_symbol
from brain.json_text import read_json


class _Intent(msgspec.Struct):
    """Fields of the JSON dialects of `quantum:stream:trade.intent` that are used here."""

    symbol: str = ""


_INTENT = msgspec.json.Decoder(_Intent)
_FLAT = b"symbol"


def read_intent_symbol(fields: Mapping[bytes, bytes]) -> str | None:
    """Parse an intent's symbol: flat `symbol`, or within the JSON of `payload` or `data`.

    Returns None when no dialect has a usable one. Never raises.
    """
    found = (_symbol_in(fields, name) for name in (_FLAT, b"payload", b"data"))
    return next((symbol for symbol in found if symbol is not None and is_symbol(symbol)), None)


def _symbol_in(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    try:
        text = field_text(fields, name)
        return text if text is None or name == _FLAT else read_json(_INTENT, text).symbol.strip()
    except (UnreadableFieldError, msgspec.DecodeError):
        return None
