"""Symbols that may be opened: the universe service's list, the last good one, or the operator's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from brain.identifiers import is_symbol
from brain.json_text import lenient_scalar, read_json

#: Largest difference of clocks (seconds): a list from further in the future is not used.
_CLOCK_TOLERANCE_SEC = 60.0
LONGEST_LIST = 1_048_576
_COUNT = re.compile(rb"[0-9]{1,9}")


class AllowlistSource(StrEnum):
    """Tier of an allowlist's origin."""

    UNIVERSE_ACTIVE = "universe_active"
    LAST_OK = "last_ok"
    ENV = "env"
    NONE = "none"


class Allowlist(msgspec.Struct, frozen=True):
    """Symbols that may be opened. Closes of existing positions need no entry.

    `stale`: the universe service's list is configured, and it has no current one. `asof_epoch` (epoch
    seconds) and `age_sec` are None for lists without a time. `notes` have the reasons against earlier tiers.
    """

    source: AllowlistSource
    stale: bool
    symbols: frozenset[str]
    asof_epoch: float | None
    age_sec: float | None
    notes: tuple[str, ...] = ()

    def log_line(self) -> str:
        """Return the contract's log line."""
        asof = "none" if self.asof_epoch is None else f"{self.asof_epoch:.0f}"
        age = "none" if self.age_sec is None else f"{self.age_sec:.0f}"
        return (
            f"P3.3 allowlist source={self.source} stale={int(self.stale)} count={len(self.symbols)} "
            f"asof_epoch={asof} age_s={age}"
        )


class _UniverseList(msgspec.Struct):
    """JSON of `cfg:universe:active` and `cfg:universe:last_ok`."""

    asof_epoch: float
    symbols: list[str]
    mode: msgspec.Raw = msgspec.Raw(b"")


_UNIVERSE_LIST = msgspec.json.Decoder(_UniverseList, strict=False)


class _UnusableError(ValueError):
    pass


def choose_allowlist(
    *,
    source: str,
    env_symbols: Iterable[str],
    active: bytes | None,
    meta: Mapping[bytes, bytes] | None,
    last_ok: bytes | None,
    now_sec: float,
    max_age_sec: float,
    last_ok_max_age_sec: float,
    mode: str = "",
) -> Allowlist:
    """Return the first usable tier: active, last_ok, env, none. Never raises, for any content of the keys.

    `source` is `universe`, or `env` for the operator's list alone. The active list counts only while
    `meta` says that it is not stale and not empty. `now_sec` is Redis's clock, which all services share.
    With a `mode` (`testnet`, `mainnet`) a list that names another one does not count.
    """
    notes: list[str] = []
    if source == "universe":
        try:
            _require_current(meta)
            return _from_universe(AllowlistSource.UNIVERSE_ACTIVE, active, now_sec, max_age_sec, notes, mode)
        except _UnusableError as error:
            notes.append(f"active: {error}")
        try:
            return _from_universe(AllowlistSource.LAST_OK, last_ok, now_sec, last_ok_max_age_sec, notes, mode)
        except _UnusableError as error:
            notes.append(f"last_ok: {error}")
    symbols = frozenset(env_symbols)
    tier = AllowlistSource.ENV if symbols else AllowlistSource.NONE
    return Allowlist(tier, source == "universe", symbols, None, None, tuple(notes))


def _require_current(meta: Mapping[bytes, bytes] | None) -> None:
    """Raise _UnusableError unless `cfg:universe:meta` marks the active list as current."""
    if not meta:
        raise _UnusableError("no meta")
    if meta.get(b"stale") != b"0":
        raise _UnusableError(f"meta.stale is {_shown(meta.get(b'stale'))}, not 0")
    count = meta.get(b"count")
    if count is None or not _COUNT.fullmatch(count) or int(count) == 0:
        raise _UnusableError(f"meta.count is {_shown(count)}, not above 0")


def _from_universe(
    source: AllowlistSource,
    raw: bytes | None,
    now_sec: float,
    max_age_sec: float,
    notes: list[str],
    mode: str,
) -> Allowlist:
    if raw is None:
        raise _UnusableError("missing")
    if len(raw) > LONGEST_LIST:
        raise _UnusableError(f"{len(raw)} bytes")
    try:
        listed = read_json(_UNIVERSE_LIST, raw)
    except msgspec.DecodeError as error:
        raise _UnusableError(f"unreadable: {error}") from None
    listed_mode = lenient_scalar(listed.mode)
    if mode and listed_mode not in (None, "", mode):
        raise _UnusableError(f"of {_shown(listed_mode.encode(errors='replace'))}, not {mode}")
    age_sec = now_sec - listed.asof_epoch
    if not math.isfinite(age_sec) or age_sec < -_CLOCK_TOLERANCE_SEC:
        raise _UnusableError(f"asof_epoch {listed.asof_epoch} is in the future, or no time")
    if age_sec > max_age_sec:
        raise _UnusableError(f"{age_sec:.0f} s old, {max_age_sec:.0f} s allowed")
    symbols = frozenset(filter(is_symbol, listed.symbols))
    if not symbols:
        raise _UnusableError("no symbols")
    if unusable := sum(not is_symbol(symbol) for symbol in listed.symbols):
        notes.append(f"{source}: {unusable} of its entries are no symbols")
    stale = source is not AllowlistSource.UNIVERSE_ACTIVE
    return Allowlist(source, stale, symbols, listed.asof_epoch, max(age_sec, 0.0), tuple(notes))


def _shown(raw: bytes | None) -> str:
    return "missing" if raw is None else repr(raw[:20])[1:]
