"""Universe: the contracts of the exchange that may be opened, chosen from its listing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from brain.symbols.candidates import rank

CONTRACT_TYPE: Final = "PERPETUAL"
STATUS: Final = "TRADING"
_NAME = re.compile(r"[A-Z0-9]{1,20}(USDT|USDC|BTC)")
_DAY_MS = 86_400_000
#: An end so far ahead is not announced: a perpetual contract has some `deliveryDate`, such as the year 2100.
_NEVER_MS = 3_650 * _DAY_MS


class ListedContract(msgspec.Struct, frozen=True, rename="camel"):
    """Contract as `exchangeInfo` lists it; dates are the exchange's clock (epoch ms), 0 where it has none.

    Source: Binance USDⓈ-M Futures, "Exchange Information".
    """

    symbol: str
    status: str
    contract_type: str = ""
    quote_asset: str = ""
    onboard_date: int = 0
    delivery_date: int = 0

    @property
    def trades(self) -> bool:
        """True for a perpetual contract that the exchange trades."""
        return self.contract_type == CONTRACT_TYPE and self.status == STATUS

    @property
    def may_trade(self) -> bool:
        """True also where the type could not be read."""
        return self.contract_type in (CONTRACT_TYPE, "") and self.status == STATUS


class UniverseRules(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the universe. `mode` is published as it is; `most` is the longest list."""

    mode: str
    quotes: tuple[str, ...]
    blacklist: tuple[str, ...]
    min_quote_volume: Decimal
    min_age_days: int
    delist_before_sec: float
    most: int
    max_shrink_pct: Decimal

    def permit_name(self, symbol: str) -> bool:
        """Return True for a name of the right form and quote asset that is not on the blacklist."""
        found = _NAME.fullmatch(symbol)
        return found is not None and found[1] in self.quotes and symbol not in self.blacklist


class Universe(msgspec.Struct, frozen=True):
    """Chosen symbols, sorted. `dropped` were left out beyond the longest list, by `volume` or by `name`."""

    symbols: tuple[str, ...]
    dropped: int
    ranked_by: str


def choose_universe(
    contracts: Iterable[ListedContract],
    rules: UniverseRules,
    *,
    volumes: Mapping[str, Decimal] | None,
    now_ms: int,
) -> Universe:
    """Choose the symbols that may be opened.

    `volumes`: 24 h volume in the quote asset by symbol, None while unknown; a symbol without one has none.
    `now_ms`: the exchange's clock. Of more than the longest list the highest volumes stay, of equal ones the
    first by name.
    """
    fit = {each.symbol for each in contracts if _filter_not_passed(each, rules, volumes, now_ms) is None}
    ranked_by = "name" if volumes is None else "volume"
    best = sorted(fit) if volumes is None else rank({each: volumes.get(each, Decimal(0)) for each in fit})
    return Universe(tuple(sorted(best[: rules.most])), max(len(best) - rules.most, 0), ranked_by)


def announced_ends(contracts: Iterable[ListedContract], *, now_ms: int) -> dict[str, int]:
    """Return the announced end of trading (the exchange's clock, epoch seconds) of perpetual contracts.

    A contract that has ended, and does not trade, is none of them.
    """
    ends = {
        each.symbol: each.delivery_date // 1000
        for each in contracts
        if each.contract_type == CONTRACT_TYPE
        and 0 < each.delivery_date < now_ms + _NEVER_MS
        and (each.trades or each.delivery_date > now_ms)
    }
    return dict(sorted(ends.items()))


def why_left_out(
    contract: ListedContract | None,
    rules: UniverseRules,
    volumes: Mapping[str, Decimal] | None,
    now_ms: int,
) -> str:
    """Return the filter that a contract does not pass, in a word; the longest list, if it passes all."""
    if contract is None:
        return "not_listed"
    return _filter_not_passed(contract, rules, volumes, now_ms) or "beyond_the_longest_list"


def _filter_not_passed(
    contract: ListedContract, rules: UniverseRules, volumes: Mapping[str, Decimal] | None, now_ms: int
) -> str | None:
    if not contract.trades:
        return "not_trading"
    if not rules.permit_name(contract.symbol) or contract.quote_asset not in rules.quotes:
        return "blacklist" if contract.symbol in rules.blacklist else "name_or_quote"
    if volumes is not None and volumes.get(contract.symbol, Decimal(0)) < rules.min_quote_volume:
        return "volume"
    if not _is_old_enough(contract.onboard_date, rules.min_age_days, now_ms):
        return "age"
    return "closing" if _closes_soon(contract.delivery_date, rules.delist_before_sec, now_ms) else None


def _is_old_enough(onboard_ms: int, min_age_days: int, now_ms: int) -> bool:
    """Return True if the listing is old enough; one of unknown date is, where any age will do."""
    if min_age_days == 0:
        return True
    return onboard_ms > 0 and now_ms - onboard_ms >= min_age_days * _DAY_MS


def _closes_soon(delivery_ms: int, before_sec: float, now_ms: int) -> bool:
    return delivery_ms > 0 and delivery_ms - now_ms <= before_sec * 1000
