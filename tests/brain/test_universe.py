"""The choice of the universe, and what is published of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.symbols.publication import Change, Listing, Outcome, Stored, judge, not_published
from brain.symbols.universe import NEVER_MS, ListedContract, UniverseRules, announced_ends, choose_universe
from brain.symbols.universe_text import list_text, read_ends, read_list, volumes_text

NOW_MS = 1_760_000_000_000
DAY_MS = 86_400_000
RULES = UniverseRules(
    mode="testnet",
    quotes=("USDT", "USDC", "BTC"),
    blacklist=(),
    min_quote_volume=Decimal(0),
    min_age_days=0,
    delist_before_sec=86_400,
    most=800,
    max_shrink_pct=Decimal(20),
)
rules = msgspec.structs.replace


def contract(symbol: str, **changes: object) -> ListedContract:
    """A contract that trades and will for ever, listed a year ago."""
    quote = next((each for each in ("USDT", "USDC", "BTC") if symbol.endswith(each)), "EUR")
    listed = ListedContract(symbol, "TRADING", "PERPETUAL", quote, NOW_MS - 365 * DAY_MS, NEVER_MS)
    return msgspec.structs.replace(listed, **changes)


def chosen(*contracts: ListedContract, by: UniverseRules = RULES, **volumes: str) -> tuple[str, ...]:
    known = {symbol: Decimal(volume) for symbol, volume in volumes.items()} or None
    return choose_universe(contracts, by, volumes=known, now_ms=NOW_MS).symbols


BTC = contract("BTCUSDT")


@pytest.mark.parametrize(
    "other",
    [
        contract("ETHUSDT", contract_type="CURRENT_QUARTER"),
        contract("ETHUSDT", status="SETTLING"),
        contract("ETHUSDT", status="PENDING_TRADING"),
        contract("ETHBUSD"),
        contract("ETHUSDT_251226"),
        contract("币安人生USDT"),
        contract("ethUSDT"),
        contract("A" * 21 + "USDT"),
        contract("USDT"),
        contract("ETHUSDT", quote_asset="EUR"),
        contract("ETHUSDT", delivery_date=NOW_MS + DAY_MS),
        contract("ETHUSDT", delivery_date=NOW_MS - DAY_MS),
    ],
)
def test_a_contract_that_a_filter_refuses_is_left_out(other: ListedContract) -> None:
    assert chosen(BTC, other) == ("BTCUSDT",)


def test_a_contract_that_every_filter_lets_pass_is_in_and_the_list_is_sorted() -> None:
    all_of_them = [
        contract(name) for name in ("ZECUSDT", "BTCUSDC", "ETHBTC", "1000PEPEUSDT", "A" * 20 + "BTC")
    ]
    assert chosen(*all_of_them) == tuple(sorted(each.symbol for each in all_of_them))
    assert chosen(BTC, contract("ETHUSDT", delivery_date=NOW_MS + DAY_MS + 1)) == ("BTCUSDT", "ETHUSDT")


def test_quotes_and_blacklist_are_the_operators() -> None:
    listed = [contract(name) for name in ("BTCUSDT", "BTCUSDC", "ETHBTC")]
    assert chosen(*listed, by=rules(RULES, quotes=("USDC",))) == ("BTCUSDC",)
    assert chosen(*listed, by=rules(RULES, blacklist=("BTCUSDT",))) == ("BTCUSDC", "ETHBTC")


def test_a_least_volume_holds_where_volumes_are_known() -> None:
    listed = [contract(name) for name in ("AUSDT", "BUSDT", "CUSDT")]
    least = rules(RULES, min_quote_volume=Decimal(100))
    assert chosen(*listed, by=least) == ("AUSDT", "BUSDT", "CUSDT")
    assert chosen(*listed, by=least, AUSDT="100", BUSDT="99.9") == ("AUSDT",)


def test_a_least_age_leaves_out_the_young_and_those_of_unknown_age() -> None:
    listed = [
        contract("AUSDT", onboard_date=NOW_MS - 30 * DAY_MS),
        contract("BUSDT", onboard_date=NOW_MS - 30 * DAY_MS + 1),
        contract("CUSDT", onboard_date=0),
    ]
    assert chosen(*listed, by=rules(RULES, min_age_days=30)) == ("AUSDT",)
    assert chosen(*listed) == ("AUSDT", "BUSDT", "CUSDT")


def test_of_too_many_the_highest_volumes_stay_and_of_unknown_ones_the_first_by_name() -> None:
    listed = [contract(name) for name in ("AUSDT", "BUSDT", "CUSDT", "DUSDT")]
    two = rules(RULES, most=2)
    volumes = {"AUSDT": Decimal(1), "CUSDT": Decimal(5), "DUSDT": Decimal(5)}
    by_volume = choose_universe(listed, two, volumes=volumes, now_ms=NOW_MS)
    assert (by_volume.symbols, by_volume.dropped, by_volume.ranked_by) == (("CUSDT", "DUSDT"), 2, "volume")
    by_name = choose_universe(listed, two, volumes=None, now_ms=NOW_MS)
    assert (by_name.symbols, by_name.dropped, by_name.ranked_by) == (("AUSDT", "BUSDT"), 2, "name")


def test_announced_ends_are_those_of_perpetual_contracts_and_not_in_the_far_future() -> None:
    listed = [
        contract("BUSDT", delivery_date=NOW_MS + 5 * DAY_MS),
        contract("AUSDT", delivery_date=NOW_MS - DAY_MS, status="SETTLING"),
        contract("CUSDT", delivery_date=NOW_MS, contract_type="CURRENT_QUARTER"),
        contract("DUSDT", delivery_date=0),
        BTC,
    ]
    ends = announced_ends(listed)
    assert list(ends.items()) == [
        ("AUSDT", (NOW_MS - DAY_MS) // 1000),
        ("BUSDT", (NOW_MS + 5 * DAY_MS) // 1000),
    ]


def test_a_list_is_written_as_the_contract_has_it() -> None:
    universe = choose_universe([BTC, contract("ETHUSDT")], RULES, volumes=None, now_ms=NOW_MS)
    text = json.loads(list_text(universe, RULES, asof_epoch=1_760_000_000))
    filters = text.pop("filters")
    assert text == {
        "asof_epoch": 1_760_000_000,
        "source": "binance_futures_exchangeInfo",
        "mode": "testnet",
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "count": 2,
        "dropped": 0,
        "ranked_by": "name",
    }
    assert (filters["contractType"], filters["status"]) == ("PERPETUAL", "TRADING")
    volumes = {"BUSDT": Decimal("1E+2"), "AUSDT": Decimal("100.0"), "CUSDT": Decimal("100.5")}
    assert json.loads(volumes_text(volumes, asof_epoch=5)) == {
        "asof_epoch": 5,
        "quote_volume_24h": {"AUSDT": "100", "BUSDT": "100", "CUSDT": "100.5"},
        "rank": ["CUSDT", "AUSDT", "BUSDT"],
    }


@pytest.mark.parametrize("text", [None, b"", b"{}", b"[]", b'{"asof_epoch": 1}', b"\xff", b'{"symbols": 5}'])
def test_a_stored_list_that_cannot_be_read_is_none(text: bytes | None) -> None:
    assert read_list(text) is None


def test_the_list_of_another_publisher_is_read_whatever_else_it_contains() -> None:
    text = b'{"asof_epoch": 5.5, "symbols": ["A"], "filters": {"contractType": 1}, "mode": 2, "count": "x"}'
    stored = read_list(text)
    assert stored is not None
    assert (stored.asof_epoch, stored.symbols, stored.mode) == (5.5, ("A",), "")


def test_stored_ends_that_cannot_be_read_are_none() -> None:
    assert read_ends(b'{"AUSDT": 5}') == {"AUSDT": 5}
    for text in (None, b"", b"[]", b'{"AUSDT": "soon"}'):
        assert read_ends(text) == {}


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


def test_symbols_that_the_exchange_took_away_count_beside_a_changed_setting() -> None:
    by = rules(RULES, blacklist=("S000USDT",))
    assert judge(listing(names(6)), stored(names(10)), by, shrunk_reads=1).outcome is Outcome.SHRANK


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
