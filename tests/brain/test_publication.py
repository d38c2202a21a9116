"""Judgement on reads of the listing: what is published, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.symbols.publication import Change, Listing, Outcome, Stored, judge, not_published
from brain.symbols.universe import NEVER_MS, ListedContract, UniverseRules, choose_universe
from brain.symbols.universe_text import list_text
from tests.brain.test_universe import DAY_MS, NOW_MS, RULES, contract, rules


def names(count: int, begin: int = 0) -> list[str]:
    return [f"S{number:03}USDT" for number in range(begin, begin + count)]


def stored(symbols: list[str], by: UniverseRules = RULES, **changes: object) -> Stored:
    """A publication of these symbols that stands."""
    contracts = [contract(symbol) for symbol in symbols]
    universe = choose_universe(contracts, by, volumes=None, now_ms=NOW_MS)
    before = Stored(list_text(universe, by, asof_epoch=1).encode(), b"{}")
    return msgspec.structs.replace(before, **changes)


def listing(symbols: list[str], *others: ListedContract) -> Listing:
    return Listing((*(contract(symbol) for symbol in symbols), *others), NOW_MS)


def test_a_first_list_is_published_without_events_of_its_symbols() -> None:
    judgement = judge(listing(names(3)), Stored(), RULES, shrunk_reads=1)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.universe is not None
    assert judgement.universe.symbols == tuple(names(3))
    assert judgement.changes == ()


def test_symbols_that_come_and_go_are_events() -> None:
    ending = contract("S000USDT", delivery_date=NOW_MS + 9 * DAY_MS)
    gone = contract("S001USDT", status="SETTLING")
    read = listing([*names(9, 2), "NEWUSDT"], ending, gone)
    judgement = judge(read, stored(names(11)), RULES, shrunk_reads=1)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.changes == (
        (Change.LISTED, "NEWUSDT"),
        (Change.DELISTED, "S001USDT"),
        (Change.CLOSING, "S000USDT"),
    )
    known = msgspec.structs.replace(stored(names(11)), closing=b'{"S000USDT": 1}')
    assert Change.CLOSING not in dict(judge(read, known, RULES, shrunk_reads=1).changes)


def test_a_symbol_that_a_setting_removes_was_not_delisted() -> None:
    by = rules(RULES, blacklist=("S000USDT",))
    judgement = judge(listing(names(10)), stored(names(10)), by, shrunk_reads=1)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.changes == ()


@pytest.mark.parametrize(
    "read", [listing([]), listing([], contract("ETHUSDT", status="BREAK")), Listing((), NOW_MS, None, 570)]
)
def test_an_empty_or_unreadable_listing_is_not_published(read: Listing) -> None:
    judgement = judge(read, stored(names(3)), RULES, shrunk_reads=3)
    assert judgement.outcome is Outcome.VALIDATION_FAILED
    assert judgement.universe is None
    assert judgement.error.startswith("validation_failed: ")
    assert judgement.changes == ((Change.STALE, ""),)


def test_a_list_that_shrank_by_more_than_is_allowed_is_published_at_the_third_read() -> None:
    before, read = stored(names(10)), listing(names(7))
    first = judge(read, before, RULES, shrunk_reads=1)
    assert (first.outcome, first.shrunk_by, first.universe) == (Outcome.SHRANK, 3, None)
    assert first.error == "shrank: 3 of 10 symbols are gone"
    assert first.changes == ((Change.SHRUNK, ""), (Change.STALE, ""))
    marked = msgspec.structs.replace(before, stale=True, error=first.error)
    second = judge(read, marked, RULES, shrunk_reads=2)
    assert (second.outcome, second.changes) == (Outcome.SHRANK, ())
    third = judge(read, marked, RULES, shrunk_reads=3)
    assert (third.outcome, third.shrunk_by) == (Outcome.PUBLISHED, 3)
    assert third.changes[0] == (Change.RECOVERED, "")
    assert [symbol for change, symbol in third.changes if change is Change.DELISTED] == names(3, 7)


def test_a_list_that_shrank_by_just_what_is_allowed_is_published_at_once() -> None:
    assert judge(listing(names(8)), stored(names(10)), RULES, shrunk_reads=1).outcome is Outcome.PUBLISHED


@pytest.mark.parametrize(
    "change",
    [
        {"blacklist": tuple(names(5))},
        {"quotes": ("USDC",)},
        {"most": 3},
        {"min_age_days": 100},
        {"min_quote_volume": Decimal(150)},
    ],
)
def test_a_setting_that_shrinks_the_list_is_not_refused(change: dict[str, object]) -> None:
    young = {"onboard_date": NOW_MS - DAY_MS}
    contracts = [contract(name, **(young if number % 2 else {})) for number, name in enumerate(names(10))]
    volumes = {name: Decimal(20 * number) for number, name in enumerate(names(10))}
    contracts.append(contract("XUSDC", onboard_date=1))
    volumes["XUSDC"] = Decimal(1000)
    read = Listing(tuple(contracts), NOW_MS, volumes)
    before = stored([*names(10), "XUSDC"])
    judgement = judge(read, before, rules(RULES, **change), shrunk_reads=1)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.universe is not None
    assert len(judgement.universe.symbols) < 8


def test_a_list_by_volumes_that_were_not_known_before_is_not_one_that_shrank() -> None:
    by = rules(RULES, min_quote_volume=Decimal(150))
    volumes = {name: Decimal(20 * number) for number, name in enumerate(names(10))}
    contracts = tuple(contract(name) for name in names(10))
    before = stored(names(10), by)
    judgement = judge(Listing(contracts, NOW_MS, volumes), before, by, shrunk_reads=1)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.universe is not None
    assert judgement.universe.symbols == ("S008USDT", "S009USDT")
    assert judgement.changes == ()
    fewer = Listing(contracts[:7], NOW_MS, volumes)
    assert (
        judge(fewer, before, rules(by, min_quote_volume=Decimal(1)), shrunk_reads=1).outcome is Outcome.SHRANK
    )


def test_symbols_that_the_exchange_took_away_count_beside_a_changed_setting() -> None:
    by = rules(RULES, blacklist=("S000USDT",))
    assert judge(listing(names(6)), stored(names(10)), by, shrunk_reads=1).outcome is Outcome.SHRANK


def test_a_longer_list_than_another_publishers_has_not_shrunk_whatever_is_gone_of_that() -> None:
    theirs = Stored(b'{"asof_epoch": 1, "symbols": ["GONEUSDT", "S000USDT"]}')
    judgement = judge(listing(names(5)), theirs, RULES, shrunk_reads=1)
    assert judgement.outcome is Outcome.PUBLISHED
    assert (Change.DELISTED, "GONEUSDT") in judgement.changes


def test_the_list_of_the_other_exchange_is_nothing_to_compare_with() -> None:
    other = rules(RULES, mode="mainnet")
    judgement = judge(listing(names(1)), stored(names(10), other), RULES, shrunk_reads=1)
    assert (judgement.outcome, judgement.changes) == (Outcome.PUBLISHED, ())


def test_an_error_is_cut_at_500_characters() -> None:
    judgement = not_published(Outcome.FETCH_FAILED, "x" * 1000, Stored())
    assert len(judgement.error) == 500
    assert judgement.error.startswith("fetch_failed: x")
    assert judgement.changes == ()


def contracts_drawn() -> st.SearchStrategy[list[ListedContract]]:
    drawn = st.builds(
        contract,
        st.sampled_from([*names(12), "AUSDC", "BBTC", "CBUSD", "dUSDT"]),
        status=st.sampled_from(["TRADING", "TRADING", "TRADING", "SETTLING"]),
        contract_type=st.sampled_from(["PERPETUAL", "PERPETUAL", "PERPETUAL", "CURRENT_QUARTER"]),
        onboard_date=st.sampled_from([0, NOW_MS - DAY_MS, NOW_MS - 50 * DAY_MS]),
        delivery_date=st.sampled_from([NEVER_MS, NEVER_MS, NOW_MS + DAY_MS // 2, NOW_MS + 2 * DAY_MS]),
    )
    return st.lists(drawn, unique_by=lambda each: each.symbol, max_size=16)


@dataclass
class Model:
    """The refresh of the contract in its own words, over sets."""

    good: set[str] | None = None
    shrunk: int = 0

    def read(self, listed: list[ListedContract], volumes: dict[str, Decimal], by: UniverseRules) -> Outcome:
        fit = [
            each.symbol
            for each in listed
            if (each.contract_type, each.status) == ("PERPETUAL", "TRADING")
            and each.symbol.isupper()
            and any(each.symbol.endswith(quote) for quote in by.quotes)
            and volumes.get(each.symbol, Decimal(0)) >= by.min_quote_volume
            and (by.min_age_days == 0 or 0 < each.onboard_date <= NOW_MS - by.min_age_days * DAY_MS)
            and each.delivery_date > NOW_MS + by.delist_before_sec * 1000
        ]
        fit.sort(key=lambda symbol: (-volumes.get(symbol, Decimal(0)), symbol))
        new = set(fit[: by.most])
        if not new:
            return Outcome.VALIDATION_FAILED
        if self.good is not None and len(new) * 100 < len(self.good) * (100 - by.max_shrink_pct):
            self.shrunk += 1
            if self.shrunk < 3:
                return Outcome.SHRANK
        self.good, self.shrunk = new, 0
        return Outcome.PUBLISHED


@given(
    listings=st.lists(contracts_drawn(), min_size=1, max_size=8),
    volumes=st.dictionaries(st.sampled_from(names(12)), st.integers(0, 200).map(Decimal)),
    most=st.integers(1, 10),
    least=st.sampled_from([Decimal(0), Decimal(50)]),
    age=st.sampled_from([0, 30]),
)
def test_any_course_of_listings_publishes_what_the_contract_says(
    listings: list[list[ListedContract]], volumes: dict[str, Decimal], most: int, least: Decimal, age: int
) -> None:
    by = rules(RULES, most=most, min_quote_volume=least, min_age_days=age)
    model, before, shrunk = Model(), Stored(), 0
    for listed in listings:
        judgement = judge(Listing(tuple(listed), NOW_MS, volumes), before, by, shrunk_reads=shrunk + 1)
        assert judgement.outcome is model.read(listed, volumes, by)
        shrunk = {Outcome.PUBLISHED: 0, Outcome.SHRANK: shrunk + 1}.get(judgement.outcome, shrunk)
        if judgement.universe is None:
            assert judgement.error
            before = msgspec.structs.replace(before, stale=True, error=judgement.error)
            continue
        assert set(judgement.universe.symbols) == model.good
        assert len(judgement.universe.symbols) <= most
        assert (Change.RECOVERED, "") in judgement.changes or not before.stale
        text = list_text(judgement.universe, by, asof_epoch=1).encode()
        before = Stored(text, b"{}")
