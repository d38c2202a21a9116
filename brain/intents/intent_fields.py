"""Members of an intent as text, out of its three dialects, and their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from brain.identifiers import LONGEST_FIELD, Symbol, UnreadableFieldError, field_text, given, is_symbol
from brain.json_text import read_json, scalar_text
from brain.numbers import ZERO, NotANumberError, parse_decimal_down, plain

#: Longest text of a member that is used.
LONGEST_TEXT: Final = 200
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_JSON_FIELDS: Final = (b"payload", b"data")
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
_BOOLEANS: Final = {b"true": "true", b"false": "false"}
_ASCII_LOWER: Final = re.compile(r"[a-z]")

Members = Mapping[str, str]


class Problems(dict[str, str]):
    """Error by member."""


def intent_members(fields: Mapping[bytes, bytes], problems: Problems) -> Members:
    """Return the members of an intent that have a value: of the flat dialect, or of a JSON object.

    The first of these that has a symbol: the fields themselves, the JSON in `payload`, that in `data`.
    Members that are no text, number or truth value are left out. Never raises.
    """
    flat = _flat(fields)
    if "symbol" in flat:
        return flat
    for name in _JSON_FIELDS:
        if name not in fields:
            continue
        try:
            members = _json_members(fields, name)
        except (UnreadableFieldError, msgspec.DecodeError) as error:
            problems[name.decode()] = str(error)[:LONGEST_TEXT]
            continue
        if "symbol" in members:
            problems.clear()
            return members
    return flat


def _flat(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    members: dict[str, str] = {}
    for name, raw in fields.items():
        if len(name) > LONGEST_TEXT or len(raw) > LONGEST_FIELD or name in _JSON_FIELDS:
            continue
        text = given(raw.decode(errors="replace"))
        if text is not None:
            members[name.decode(errors="replace")] = text
    return members


def _json_members(fields: Mapping[bytes, bytes], name: bytes) -> dict[str, str]:
    text = field_text(fields, name)
    if text is None:
        return {}
    members: dict[str, str] = {}
    for member, raw in read_json(_MEMBERS, text).items():
        encoded = bytes(raw).strip()
        value = _BOOLEANS.get(encoded)
        if value is None and not encoded.startswith((b"{", b"[")):
            value = scalar_text(msgspec.Raw(encoded))
        if value is not None:
            members[member] = value
    return members


def symbol_of(members: Members, problems: Problems) -> Symbol | None:
    """Return the symbol in capitals; None, with a problem, where there is none that can be used."""
    text = members.get("symbol")
    if text is None:
        problems.setdefault("symbol", "missing")
        return None
    if text.isascii() and _ASCII_LOWER.search(text):
        text = text.upper()
    if is_symbol(text) and "\N{REPLACEMENT CHARACTER}" not in text:
        return text
    problems["symbol"] = f"not a symbol: {shown(text)}"
    return None


def amount(members: Members, name: str, problems: Problems) -> Decimal | None:
    """Return a number above 0, truncated after 18 decimals. None, without a problem, for 0."""
    text = members.get(name)
    if text is None:
        return None
    try:
        number = parse_decimal_down(text)
    except NotANumberError as error:
        problems[name] = str(error)
        return None
    if number < ZERO:
        problems[name] = f"negative: {shown(text)}"
    return number if number > ZERO else None


def number_from_0(members: Members, name: str, problems: Problems) -> str | None:
    """Return a number from 0 up as plain text; None where there is none."""
    text = members.get(name)
    if text is None:
        return None
    try:
        number = parse_decimal_down(text)
    except NotANumberError as error:
        problems[name] = str(error)
        return None
    if number < ZERO:
        problems[name] = f"negative: {shown(text)}"
        return None
    return plain(number)


def boolean(members: Members, name: str, problems: Problems) -> bool | None:
    """Return a truth value, None where there is none."""
    text = members.get(name)
    if text is None:
        return None
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    problems[name] = f"neither true nor false: {shown(text)}"
    return None


def word(members: Members, name: str, known: Mapping[str, object], problems: Problems) -> str | None:
    """Return a member in capitals that is one of the words of `known`, None where there is none."""
    text = members.get(name)
    if text is None:
        return None
    if text.upper() in known:
        return text.upper()
    problems[name] = f"none of {', '.join(known)}: {shown(text)}"
    return None


def printable(members: Members, name: str) -> str | None:
    """Return the beginning of a text; None where it has characters that no plan should have."""
    text = (members.get(name) or "")[:LONGEST_TEXT].strip()
    return text if text and text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text else None


def shown(text: str) -> str:
    """Return the beginning of a text, printable."""
    return "".join(char if char.isprintable() else "?" for char in text[:40])
