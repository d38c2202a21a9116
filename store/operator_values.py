"""Codec of what operators compare, shared by the real Redis and its in-memory twin."""

from __future__ import annotations

import re
from collections.abc import Mapping

from store.keys import Keys
from store.operator_records import DeadStream, Hold

_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}", re.ASCII)


def is_entry_id(text: str) -> bool:
    """Return whether a text is the id of a stream's entry."""
    return _ENTRY_ID.fullmatch(text) is not None


def assumed(text: bytes | None) -> bytes:
    """Return a text as the scripts compare it: `=` with it, empty for a missing one."""
    return b"" if text is None else b"=" + text


def hold_texts(hold: Hold | None) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return value, reason and owner of a hold; none of them where there is no hold."""
    return (None, None, None) if hold is None else (hold.value, hold.reason, hold.sig)


def read_hold(value: bytes | None, reason: bytes | None, sig: bytes | None, ttl_ms: int) -> Hold | None:
    """Return the hold of these texts, None where there is none; `ttl_ms` as PTTL returns it."""
    return None if value is None else Hold(value, reason, sig, ttl_ms if ttl_ms >= 0 else None)


def dead_stream(keys: Keys, stream: DeadStream) -> str:
    """Return the key of a stream's dead letters."""
    return keys.dead_plans if stream == "apply.plan" else keys.dead_results


def republished_field(stream: DeadStream, letter: Mapping[bytes, bytes]) -> bytes:
    """Return the field of a letter's original in `p33:republished`."""
    return f"{stream}|".encode() + letter.get(b"entry_id", b"")
