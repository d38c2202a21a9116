"""Judgement on reads of the listing: what is published, and why not."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from brain.symbols.allowlist import LONGEST_LIST, choose_allowlist
from brain.symbols.publication import NO_READS, Change, Listing, Outcome, Stored, judge, not_published
from brain.symbols.universe import ListedContract, UniverseRules, choose_universe
from brain.symbols.universe_text import list_text
from tests.brain.test_universe import DAY_MS, NOW_MS, RULES, contract, rules


def names(count: int, begin: int = 0) -> list[str]:
    return [f"S{number:03}USDT" for number in range(begin, begin + count)]


def stored(symbols: list[str], by: UniverseRules = RULES, **changes: object) -> Stored:
    """A publication of these symbols that stands."""
    contracts = [contract(symbol) for symbol in symbols]
    universe = choose_universe(contracts, by, volumes=None, now_ms=NOW_MS)
    before = Stored(list_text(universe, by, asof_epoch=1, published_by="me").encode(), closing=b"{}")
    return msgspec.structs.replace(before, **changes)


def listing(symbols: list[str], *others: ListedContract) -> Listing:
    return Listing((*(contract(symbol) for symbol in symbols), *others), NOW_MS)


def test_a_first_list_is_published_without_events_of_its_symbols() -> None:
    judgement = judge(listing(names(3)), Stored(), RULES)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.universe is not None
    assert judgement.universe.symbols == tuple(names(3))
    assert judgement.changes == ()


def test_symbols_that_come_and_go_are_events() -> None:
    ending = contract("S000USDT", delivery_date=NOW_MS + 9 * DAY_MS)
    gone = contract("S001USDT", status="SETTLING")
    read = listing([*names(9, 2), "NEWUSDT"], ending, gone)
    judgement = judge(read, stored(names(11)), RULES)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.changes == (
        (Change.LISTED, "NEWUSDT"),
        (Change.DELISTED, "S001USDT"),
        (Change.CLOSING, "S000USDT"),
    )
    known = msgspec.structs.replace(stored(names(11)), closing=b'{"S000USDT": 1}')
    assert Change.CLOSING not in dict(judge(read, known, RULES).changes)


def test_a_symbol_that_a_setting_removes_was_not_delisted() -> None:
    by = rules(RULES, blacklist=("S000USDT",))
    judgement = judge(listing(names(10)), stored(names(10)), by)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.changes == ()


@pytest.mark.parametrize(
    "read",
    [
        listing([]),
        listing([], contract("ETHUSDT", status="BREAK")),
        Listing((), NOW_MS, None, frozenset(names(570))),
    ],
)
def test_an_empty_or_unreadable_listing_is_not_published(read: Listing) -> None:
    judgement = judge(read, stored(names(3)), RULES)
    assert judgement.outcome is Outcome.VALIDATION_FAILED
    assert judgement.universe is None
    assert judgement.error.startswith("validation_failed: ")
    assert judgement.changes == ((Change.STALE, ""),)


def test_a_list_that_shrank_by_more_than_is_allowed_is_published_at_the_third_read() -> None:
    before, read = stored(names(10)), listing(names(7))
    first = judge(read, before, RULES)
    assert (first.outcome, first.shrunk_by, first.universe) == (Outcome.SHRANK, 3, None)
    assert first.error == "shrank: 3 of 10 symbols are gone"
    assert first.changes == ((Change.SHRUNK, ""), (Change.STALE, ""))
    marked = msgspec.structs.replace(before, stale=True, error=first.error)
    second = judge(read, marked, RULES, shrunk=first.shrunk)
    assert (second.outcome, second.changes) == (Outcome.SHRANK, ())
    third = judge(read, marked, RULES, shrunk=second.shrunk)
    assert (third.outcome, third.shrunk_by) == (Outcome.PUBLISHED, 3)
    assert third.changes[0] == (Change.RECOVERED, "")
    assert [symbol for change, symbol in third.changes if change is Change.DELISTED] == names(3, 7)


def reads_until_published(*reads: list[str] | None) -> list[int]:
    """Judge reads in a row beside a list of 10; the numbers of those that are published (None: a failure)."""
    standing, row, published = stored(names(10)), NO_READS, []
    for number, read in enumerate(reads, start=1):
        if read is None:
            judgement = not_published(Outcome.FETCH_FAILED, "no answer", standing, row)
        else:
            judgement = judge(listing(read), standing, RULES, shrunk=row)
        row = judgement.shrunk
        standing = msgspec.structs.replace(standing, stale=True, error=judgement.error)
        if judgement.outcome is Outcome.PUBLISHED:
            published.append(number)
    return published


def test_reads_of_another_shrunk_list_begin_the_row_anew() -> None:
    seven = names(7)
    assert reads_until_published(seven, seven, names(1), names(1), names(1)) == [5]
    assert reads_until_published(seven, names(6), seven) == [3]
    assert reads_until_published(names(3), names(6), names(6), names(6)) == [4]
    assert reads_until_published(seven, seven, names(7, 3), names(7, 3)) == []


@pytest.mark.parametrize("between", [[], None])
def test_a_refresh_with_another_outcome_ends_the_row(between: list[str] | None) -> None:
    seven = names(7)
    assert reads_until_published(seven, between, seven, between, seven, between) == []
    assert reads_until_published(seven, seven, between, seven, seven, seven) == [6]


def test_a_read_that_does_not_count_neither_prolongs_nor_ends_the_row() -> None:
    before, read = stored(names(10)), listing(names(7))
    first = judge(read, before, RULES, counts=False)
    assert first.shrunk.reads == 1
    second = judge(read, before, RULES, shrunk=first.shrunk, counts=False)
    assert second.shrunk == first.shrunk


def test_a_list_that_shrank_by_just_what_is_allowed_is_published_at_once() -> None:
    assert judge(listing(names(8)), stored(names(10)), RULES).outcome is Outcome.PUBLISHED


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
    judgement = judge(read, before, rules(RULES, **change))
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.universe is not None
    assert len(judgement.universe.symbols) < 8


def test_a_list_by_volumes_that_were_not_known_before_is_not_one_that_shrank() -> None:
    by = rules(RULES, min_quote_volume=Decimal(150))
    volumes = {name: Decimal(20 * number) for number, name in enumerate(names(10))}
    contracts = tuple(contract(name) for name in names(10))
    before = stored(names(10), by)
    judgement = judge(Listing(contracts, NOW_MS, volumes), before, by)
    assert judgement.outcome is Outcome.PUBLISHED
    assert judgement.universe is not None
    assert judgement.universe.symbols == ("S008USDT", "S009USDT")
    assert judgement.changes == ()
    fewer = Listing(contracts[:7], NOW_MS, volumes)
    assert judge(fewer, before, rules(by, min_quote_volume=Decimal(1))).outcome is Outcome.SHRANK


def test_symbols_that_the_exchange_took_away_count_beside_a_changed_setting() -> None:
    by = rules(RULES, blacklist=("S000USDT",))
    assert judge(listing(names(6)), stored(names(10)), by).outcome is Outcome.SHRANK


def test_a_longer_list_than_another_publishers_has_not_shrunk_whatever_is_gone_of_that() -> None:
    theirs = Stored(b'{"asof_epoch": 1, "symbols": ["GONEUSDT", "S000USDT"]}')
    judgement = judge(listing(names(5)), theirs, RULES)
    assert judgement.outcome is Outcome.PUBLISHED
    assert (Change.DELISTED, "GONEUSDT") in judgement.changes


def test_the_list_of_the_other_exchange_is_nothing_to_compare_with() -> None:
    other = rules(RULES, mode="mainnet")
    judgement = judge(listing(names(1)), stored(names(10), other), RULES)
    assert (judgement.outcome, judgement.changes) == (Outcome.PUBLISHED, ())


@pytest.mark.parametrize("last_ok", [None, b"garbage", b'{"asof_epoch": 1, "symbols": []}'])
def test_without_a_last_good_list_the_active_one_is_what_a_read_is_compared_with(
    last_ok: bytes | None,
) -> None:
    good = stored(names(10))
    before = msgspec.structs.replace(good, last_ok=last_ok, active=good.last_ok)
    assert judge(listing(names(1)), before, RULES).outcome is Outcome.SHRANK


def test_a_last_good_list_is_read_as_the_guard_reads_it() -> None:
    text = b'{"asof_epoch": "1760000000", "symbols": ["S000USDT", "S001USDT"]}'
    assert choose_allowlist(
        source="universe",
        env_symbols=(),
        active=None,
        meta=None,
        last_ok=text,
        now_sec=1_760_000_000,
        max_age_sec=1,
        last_ok_max_age_sec=1,
    ).symbols == {"S000USDT", "S001USDT"}
    assert judge(listing(names(1)), Stored(text), RULES).outcome is Outcome.SHRANK
    long = text + b" " * LONGEST_LIST
    assert judge(listing(names(1)), Stored(long), RULES).outcome is Outcome.PUBLISHED


def test_an_error_is_cut_at_500_characters() -> None:
    judgement = not_published(Outcome.FETCH_FAILED, "x" * 1000, Stored())
    assert len(judgement.error) == 500
    assert judgement.error.startswith("fetch_failed: x")


def test_an_event_says_each_time_that_meta_becomes_stale_or_current() -> None:
    first = not_published(Outcome.FETCH_FAILED, "no answer", Stored())
    assert first.changes == ((Change.STALE, ""),)
    marked = Stored(stale=True, error=first.error)
    assert not_published(Outcome.FETCH_FAILED, "no answer", marked).changes == ()
    assert judge(listing(names(3)), marked, RULES).changes == ((Change.RECOVERED, ""),)


def test_a_list_that_shrank_is_said_once_although_reads_fail_in_between() -> None:
    standing, row, events = stored(names(10)), NO_READS, list[Change]()
    for read in (names(7), None, names(7), [], names(7)):
        judgement = (
            not_published(Outcome.FETCH_FAILED, "no answer", standing, row)
            if read is None
            else judge(listing(read), standing, RULES, shrunk=row)
        )
        row = judgement.shrunk
        standing = msgspec.structs.replace(standing, stale=True, error=judgement.error)
        events += [change for change, _ in judgement.changes]
    assert events == [Change.SHRUNK, Change.STALE]


def test_a_symbol_that_left_the_list_before_its_announced_end_is_delisted_at_that_end() -> None:
    before = msgspec.structs.replace(stored(names(9, 1)), closing=b'{"S000USDT": 5, "AAABUSD": 5}')
    trading = contract("S000USDT", delivery_date=NOW_MS + DAY_MS // 2)
    assert judge(listing(names(9, 1), trading), before, RULES).changes == ()
    ended = contract("S000USDT", status="SETTLING", delivery_date=NOW_MS - 1)
    for read in (listing(names(9, 1)), listing(names(9, 1), ended)):
        judgement = judge(read, before, RULES)
        assert judgement.changes == ((Change.DELISTED, "S000USDT"),)
        assert judgement.ends == {}
        after = msgspec.structs.replace(before, closing=b"{}")
        assert judge(read, after, RULES).changes == ()


@pytest.mark.parametrize(
    ("others", "unreadable"),
    [
        ((), frozenset({"S000USDT"})),
        ((), frozenset({""})),
        ((contract("S000USDT", contract_type=""),), frozenset[str]()),
    ],
)
def test_a_symbol_that_could_not_be_read_is_not_delisted(
    others: tuple[ListedContract, ...], unreadable: frozenset[str]
) -> None:
    read = msgspec.structs.replace(listing(names(9, 1), *others), unreadable=unreadable)
    judgement = judge(read, stored(names(10)), RULES)
    assert judgement.universe is not None
    assert judgement.universe.symbols == tuple(names(9, 1))
    assert judgement.changes == ()
