"""Codec of what operators compare, shared by the real Redis and its in-memory twin."""

from __future__ import annotations

from store.operator_records import Hold


def assumed(text: bytes | None) -> bytes:
    """Return a text as the scripts compare it: `=` with it, empty for a missing one."""
    return b"" if text is None else b"=" + text


def hold_texts(hold: Hold | None) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return value, reason and owner of a hold; none of them where there is no hold."""
    return (None, None, None) if hold is None else (hold.value, hold.reason, hold.sig)


def read_hold(value: bytes | None, reason: bytes | None, sig: bytes | None, ttl_ms: int) -> Hold | None:
    """Return the hold of these texts, None where there is none; `ttl_ms` as PTTL returns it."""
    return None if value is None else Hold(value, reason, sig, ttl_ms if ttl_ms >= 0 else None)
