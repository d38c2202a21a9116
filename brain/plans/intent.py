"""Intents, as far as they matter here: which symbol somebody may soon want to trade."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.identifiers import UnreadableFieldError, field_text, is_symbol
from brain.json_text import read_json


class _Intent(msgspec.Struct):
    """What the JSON dialects of `quantum:stream:trade.intent` hold for us."""

    symbol: str = ""


_INTENT = msgspec.json.Decoder(_Intent)


def read_intent_symbol(fields: Mapping[bytes, bytes]) -> str | None:
    """The symbol of an entry of `trade.intent`: flat `symbol`, or within the JSON of `payload` or `data`.

    None when no dialect tells a usable one. Never raises.
    """
    for found in (_flat(fields), _inside(fields, b"payload"), _inside(fields, b"data")):
        if found is not None and is_symbol(found):
            return found
    return None


def _flat(fields: Mapping[bytes, bytes]) -> str | None:
    try:
        return field_text(fields, b"symbol")
    except UnreadableFieldError:
        return None


def _inside(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    try:
        text = field_text(fields, name)
        return None if text is None else read_json(_INTENT, text).symbol.strip()
    except (UnreadableFieldError, msgspec.DecodeError):
        return None
