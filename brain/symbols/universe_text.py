"""Texts of the universe in Redis: the published list, its volumes and announced ends of trading."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from brain.json_text import read_json, utf8
from brain.numbers import plain
from brain.symbols.allowlist import LONGEST_LIST
from brain.symbols.candidates import rank
from brain.symbols.universe import CONTRACT_TYPE, STATUS, Universe, UniverseRules

T = TypeVar("T")

#: A publisher without a list for two refreshes, and for two of a usual minute, has stopped.
_STOPPED_SEC: Final = 120.0
SOURCE: Final = "binance_futures_exchangeInfo"


class Filters(msgspec.Struct, frozen=True, rename="camel"):
    """Filters that a list has passed; two lists by the same filters are comparable by their length."""

    contract_type: str = ""
    status: str = ""
    quotes: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    min_quote_volume: str = ""
    min_age_days: int = -1
    delist_before_sec: float = -1.0
    max: int = -1


class _Published(msgspec.Struct, frozen=True, kw_only=True):
    """JSON of `cfg:universe:active` and `cfg:universe:last_ok`; `asof_epoch` by Redis's clock."""

    asof_epoch: int
    source: str = SOURCE
    mode: str
    symbols: tuple[str, ...]
    filters: Filters
    count: int
    dropped: int
    ranked_by: str
    published_by: str


class StoredList(msgspec.Struct, frozen=True):
    """List as it was published, by this service or by another, whose filters are then none of these.

    `published_by`: the instance of this service; empty for another's list.
    """

    asof_epoch: float
    symbols: tuple[str, ...]
    mode: str = ""
    filters: Filters = Filters()
    ranked_by: str = ""
    published_by: str = ""


class _Stored(msgspec.Struct):
    asof_epoch: float
    symbols: tuple[str, ...]
    mode: msgspec.Raw = msgspec.Raw(b'""')
    filters: msgspec.Raw = msgspec.Raw(b"null")
    ranked_by: msgspec.Raw = msgspec.Raw(b'""')
    published_by: msgspec.Raw = msgspec.Raw(b'""')


class _Volumes(msgspec.Struct, frozen=True):
    asof_epoch: int
    quote_volume_24h: dict[str, str]
    rank: list[str]


class _StoredVolumes(msgspec.Struct):
    quote_volume_24h: dict[str, Decimal]


_VOLUMES = msgspec.json.Decoder(_StoredVolumes)
_LIST = msgspec.json.Decoder(_Stored, strict=False)
_TEXT = msgspec.json.Decoder(str)
_FILTERS = msgspec.json.Decoder(Filters)
_ENDS = msgspec.json.Decoder(dict[str, int])
_encode = msgspec.json.encode


def filters_of(rules: UniverseRules) -> Filters:
    """Return the filters that these rules are."""
    return Filters(
        contract_type=CONTRACT_TYPE,
        status=STATUS,
        quotes=rules.quotes,
        blacklist=rules.blacklist,
        min_quote_volume=plain(rules.min_quote_volume),
        min_age_days=rules.min_age_days,
        delist_before_sec=rules.delist_before_sec,
        max=rules.most,
    )


def list_text(universe: Universe, rules: UniverseRules, *, asof_epoch: int, published_by: str) -> str:
    """Return the text of a list."""
    published = _Published(
        asof_epoch=asof_epoch,
        mode=rules.mode,
        symbols=universe.symbols,
        filters=filters_of(rules),
        count=len(universe.symbols),
        dropped=universe.dropped,
        ranked_by=universe.ranked_by,
        published_by=published_by,
    )
    return _encode(published).decode()


def read_list(text: bytes | None) -> StoredList | None:
    """Read a stored list, of another publisher too, as the guard does; None where there is none.

    A list without symbols is none.
    """
    if text is None or len(text) > LONGEST_LIST:
        return None
    try:
        stored = read_json(_LIST, utf8(text))
    except msgspec.DecodeError:
        return None
    if not math.isfinite(stored.asof_epoch) or not stored.symbols:
        return None
    return StoredList(
        stored.asof_epoch,
        stored.symbols,
        _read_or(_TEXT, stored.mode, ""),
        _read_or(_FILTERS, stored.filters, Filters()),
        _read_or(_TEXT, stored.ranked_by, ""),
        _read_or(_TEXT, stored.published_by, ""),
    )


def age_of_another(text: bytes | None, *, now_sec: float, refresh_sec: float) -> float | None:
    """Return the age of a list whose publisher is another service that still publishes; None for any other.

    Instances of this service publish one at a time, under the lease, and name themselves in the list.
    """
    listed = read_list(text)
    if listed is None or listed.published_by:
        return None
    age_sec = now_sec - listed.asof_epoch
    return age_sec if abs(age_sec) < max(2 * refresh_sec, _STOPPED_SEC) else None


def volumes_text(volumes: Mapping[str, Decimal], *, asof_epoch: int) -> str:
    """Return the text of the 24 h volumes, with all symbols by volume, then by name."""
    exact = {symbol: plain(volumes[symbol]) for symbol in sorted(volumes)}
    return _encode(_Volumes(asof_epoch, exact, rank(volumes))).decode()


def read_volumes(text: bytes | None) -> dict[str, Decimal] | None:
    """Read stored volumes; None where there are none, or none that can be read."""
    try:
        read = None if text is None else read_json(_VOLUMES, text).quote_volume_24h
    except msgspec.DecodeError:
        return None
    return {symbol: volume for symbol, volume in (read or {}).items() if volume.is_finite()} or None


def ends_text(ends: Mapping[str, int]) -> str:
    """Return the text of announced ends of trading."""
    return _encode(dict(ends)).decode()


def read_ends(text: bytes | None) -> dict[str, int]:
    """Read stored ends of trading; none where the text cannot be read."""
    try:
        return {} if text is None else read_json(_ENDS, text)
    except msgspec.DecodeError:
        return {}


def _read_or(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, default: T) -> T:
    try:
        return read_json(decoder, raw)
    except msgspec.DecodeError:
        return default
