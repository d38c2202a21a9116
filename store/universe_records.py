"""Records of the universe in the store."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class UniverseKeys(msgspec.Struct, frozen=True):
    """Raw values of the universe keys; None where missing or of a wrong type."""

    active: bytes | None
    meta: Mapping[bytes, bytes] | None
    last_ok: bytes | None


class PublishedUniverse(msgspec.Struct, frozen=True):
    """Universe as the publisher finds it: raw values, None where missing."""

    active: bytes | None
    last_ok: bytes | None
    meta: Mapping[bytes, bytes] | None
    closing: bytes | None
    volumes: bytes | None


class UniverseWrite(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Next state of the universe, written in one step. An empty text leaves its key as it is.

    `meta`, each of `events` and `audit` are flat names and values; an empty `audit` is none. `active` lives
    for `active_ttl_ms` from now on, also where its text stays, which with 0 ms lives on as it does.
    """

    active: str = ""
    active_ttl_ms: int
    last_ok: str = ""
    closing: str = ""
    volumes: str = ""
    volumes_ttl_ms: int = 0
    meta: tuple[str, ...] = ()
    events: tuple[tuple[str, ...], ...] = ()
    audit: tuple[str, ...] = ()
