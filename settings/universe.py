"""Environment variables of the universe publisher."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from settings import kinds
from settings.variable import derived, setting

_DAY_SEC = 86400


def universe_mode(known: Mapping[str, Any]) -> Literal["testnet", "mainnet"]:
    """Return the mode that agrees with `BINANCE_TESTNET`."""
    return "testnet" if known.get("binance_testnet", True) else "mainnet"


@dataclass(frozen=True, kw_only=True)
class UniverseSettings:
    """Settings of the universe publisher. Durations are seconds."""

    universe_mode: Literal["testnet", "mainnet"] = derived(
        "UNIVERSE_MODE",
        kinds.one_of("testnet", "mainnet"),
        universe_mode,
        "universe: `mode` of what is published; must agree with BINANCE_TESTNET",
    )
    universe_refresh_sec: float = setting(
        "UNIVERSE_REFRESH_SEC",
        kinds.seconds(10, _DAY_SEC),
        "60",
        "universe: how often exchangeInfo is read and the list published",
    )
    universe_max: int = setting(
        "UNIVERSE_MAX", kinds.whole(1, 2000), "800", "universe: at most so many symbols, by volume"
    )
    universe_volume_sec: float = setting(
        "UNIVERSE_VOLUME_SEC",
        kinds.seconds(60, _DAY_SEC),
        "3600",
        "universe: how often the 24 h volumes are read",
    )
    universe_quotes: tuple[str, ...] = setting(
        "UNIVERSE_QUOTES",
        kinds.quote_assets("USDT", "USDC", "BTC"),
        "USDT,USDC,BTC",
        "universe: quote assets of the symbols",
    )
    universe_blacklist: tuple[str, ...] = setting(
        "UNIVERSE_BLACKLIST", kinds.symbols(), "", "universe: symbols that are never published"
    )
    universe_min_quote_volume: Decimal = setting(
        "UNIVERSE_MIN_QUOTE_VOLUME",
        kinds.amount(0, 10**12 - 1),
        "0",
        "universe: least 24 h volume in the quote asset, where volumes are known",
    )
    universe_min_age_days: int = setting(
        "UNIVERSE_MIN_AGE_DAYS", kinds.whole(0, 3650), "0", "universe: least days since the listing"
    )
    universe_delist_before_sec: float = setting(
        "UNIVERSE_DELIST_BEFORE_SEC",
        kinds.seconds(0, 365 * _DAY_SEC),
        "86400",
        "universe: how long before its announced end a symbol leaves the list",
    )
    universe_max_shrink_pct: Decimal = setting(
        "UNIVERSE_MAX_SHRINK_PCT",
        kinds.percent(0, 100),
        "20",
        "universe: a list that shrank by more is published at its third read in a row",
    )
    universe_active_ttl_sec: int = setting(
        "UNIVERSE_ACTIVE_TTL_SEC",
        kinds.whole_seconds(30, 7 * _DAY_SEC),
        "900",
        "universe: life of the active list without its publisher",
    )
