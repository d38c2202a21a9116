"""The choice of the universe, and what is published of it."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest

from brain.symbols.universe import ListedContract, UniverseRules, announced_ends, choose_universe
from brain.symbols.universe_text import list_text, read_ends, read_list, read_volumes, volumes_text

NOW_MS = 1_760_000_000_000
#: `deliveryDate` of a perpetual contract whose end is not announced.
NEVER_MS = 4_133_404_800_000
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
        contract("AUSDT", delivery_date=NOW_MS + DAY_MS, status="SETTLING"),
        contract("CUSDT", delivery_date=NOW_MS, contract_type="CURRENT_QUARTER"),
        contract("DUSDT", delivery_date=0),
        contract("EUSDT", delivery_date=NOW_MS - DAY_MS, status="SETTLING"),
        contract("FUSDT", delivery_date=NOW_MS - DAY_MS),
        contract("GUSDT", delivery_date=NEVER_MS - 1),
        contract("HUSDT", delivery_date=NOW_MS + 3_650 * DAY_MS),
        BTC,
    ]
    ends = announced_ends(listed, now_ms=NOW_MS)
    assert ends == {
        "AUSDT": NOW_MS // 1000 + 86_400,
        "BUSDT": NOW_MS // 1000 + 5 * 86_400,
        "FUSDT": NOW_MS // 1000 - 86_400,
    }
    assert list(ends) == ["AUSDT", "BUSDT", "FUSDT"]


def test_a_list_is_written_as_the_contract_has_it() -> None:
    universe = choose_universe([BTC, contract("ETHUSDT")], RULES, volumes=None, now_ms=NOW_MS)
    text = json.loads(list_text(universe, RULES, asof_epoch=1_760_000_000, published_by="me"))
    filters = text.pop("filters")
    assert text == {
        "asof_epoch": 1_760_000_000,
        "source": "binance_futures_exchangeInfo",
        "mode": "testnet",
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "count": 2,
        "dropped": 0,
        "ranked_by": "name",
        "published_by": "me",
    }
    assert (filters["contractType"], filters["status"]) == ("PERPETUAL", "TRADING")
    volumes = {"BUSDT": Decimal("1E+2"), "AUSDT": Decimal("100.0"), "CUSDT": Decimal("100.5")}
    assert json.loads(volumes_text(volumes, asof_epoch=5)) == {
        "asof_epoch": 5,
        "quote_volume_24h": {"AUSDT": "100", "BUSDT": "100", "CUSDT": "100.5"},
        "rank": ["CUSDT", "AUSDT", "BUSDT"],
    }


#: Bytes in members that a decoder skips, or keeps as they are.
NOT_UTF8 = (
    b'{"asof_epoch": 1, "symbols": ["A"], "other": "\xff"}',
    b'{"asof_epoch": 1, "symbols": ["A"], "filters": {"a": "\xff"}}',
)
NO_TIMES = (b'{"asof_epoch": 1e999, "symbols": ["A"]}', b'{"asof_epoch": "nan", "symbols": ["A"]}')


@pytest.mark.parametrize(
    "text", [None, b"", b"{}", b"[]", b'{"asof_epoch": 1}', b"\xff", b'{"symbols": 5}', *NOT_UTF8, *NO_TIMES]
)
def test_a_stored_list_that_cannot_be_read_is_none(text: bytes | None) -> None:
    assert read_list(text) is None


def test_the_list_of_another_publisher_is_read_whatever_else_it_contains() -> None:
    text = b'{"asof_epoch": 5.5, "symbols": ["A"], "filters": {"contractType": 1}, "mode": 2, "count": "x"}'
    stored = read_list(text)
    assert stored is not None
    assert (stored.asof_epoch, stored.symbols, stored.mode) == (5.5, ("A",), "")


def test_stored_volumes_are_read_as_they_were_written() -> None:
    volumes = {"AUSDT": Decimal("100.5"), "BUSDT": Decimal(0)}
    assert read_volumes(volumes_text(volumes, asof_epoch=5).encode()) == volumes


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"[]",
        b'{"quote_volume_24h": {}}',
        b'{"quote_volume_24h": {"A": "x"}}',
        b'{"quote_volume_24h": {"A": "NaN"}}',
    ],
)
def test_stored_volumes_that_cannot_be_read_are_none(text: bytes | None) -> None:
    assert read_volumes(text) is None


def test_stored_ends_that_cannot_be_read_are_none() -> None:
    assert read_ends(b'{"AUSDT": 5}') == {"AUSDT": 5}
    for text in (None, b"", b"[]", b'{"AUSDT": "soon"}'):
        assert read_ends(text) == {}
