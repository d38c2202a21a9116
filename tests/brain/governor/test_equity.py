"""Equity between reads: what moves it, its peak and the day's first, and what does not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.governor.case import EquityView
from brain.governor.equity import EquityBook, EquityState, equity_fields, read_equity

DAY_MS = 86_400_000
MORNING_MS = 20_000 * DAY_MS + 1000
D = Decimal


def book_of(margin: int = 1000, *, at_ms: int = MORNING_MS, wallet: int | None = None) -> EquityBook:
    book = EquityBook()
    read(book, margin, at_ms=at_ms, wallet=wallet)
    return book


def read(book: EquityBook, margin: int, *, at_ms: int = MORNING_MS, wallet: int | None = None) -> bool:
    wallets = {"USDT": D(margin if wallet is None else wallet)}
    return book.read(D(margin), wallets, unrealised=D(0), at_ms=at_ms, transfers=book.transfers)


def seen(book: EquityBook, at_ms: int = MORNING_MS, profit: int | None = 0) -> list[Any]:
    """Equity, peak and the day's first at this unrealised profit."""
    book.marked(None if profit is None else D(profit))
    view = book.view(at_ms)
    assert view is not None
    return [view.equity, view.peak, view.day_open]


def test_nothing_is_known_before_the_first_read() -> None:
    book = EquityBook()
    book.wallet_changed("USDT", D(5), D(0), "ORDER")
    assert book.view(MORNING_MS) is None
    assert book.state is None


def test_a_read_is_the_equity_and_its_age_counts_from_it() -> None:
    view = book_of().view(MORNING_MS + 2500)
    assert view is not None
    assert view == EquityView(D(1000), D(1000), D(1000), 2.5, read=D(1000))


def test_between_reads_wallet_and_unrealised_profit_are_added() -> None:
    book = book_of()
    book.wallet_changed("USDT", D(990), D(0), "ORDER")
    assert seen(book, profit=-25) == [965, 1000, 1000]
    assert seen(book, profit=None)[0] == 965
    read(book, 970, wallet=990)
    assert seen(book, profit=5)[0] == 975


def test_the_same_balance_twice_counts_once() -> None:
    book = book_of()
    for _ in range(2):
        book.wallet_changed("USDT", D(990), D(0), "ORDER")
    assert seen(book)[0] == 990


def test_another_asset_waits_for_the_next_read() -> None:
    book = book_of()
    book.wallet_changed("BNB", D(3), D(3), "DEPOSIT")
    assert seen(book) == [1000, 1000, 1000]


def test_the_peak_rises_with_reads_alone() -> None:
    book = book_of()
    assert seen(book, profit=50)[1] == 1000
    read(book, 1040)
    read(book, 1010)
    assert seen(book) == [1010, 1040, 1000]


@pytest.mark.parametrize("reason", ["DEPOSIT", "WITHDRAW", "TRANSFER", "ADMIN_DEPOSIT", "ASSET_TRANSFER"])
@pytest.mark.parametrize("change", [300, -300])
def test_a_transfer_is_neither_gain_nor_loss(reason: str, change: int) -> None:
    book = book_of()
    book.wallet_changed("USDT", D(1000 + change), D(change), reason)
    assert seen(book) == [1000 + change, 1000 + change, 1000 + change]
    read(book, 1000 + change)
    assert seen(book) == [1000 + change, 1000 + change, 1000 + change]


@pytest.mark.parametrize(
    "reason", ["ORDER", "FUNDING_FEE", "ADJUSTMENT", "MARGIN_TRANSFER", "INSURANCE_CLEAR"]
)
def test_other_changes_are_gain_or_loss(reason: str) -> None:
    book = book_of()
    book.wallet_changed("USDT", D(950), D(-50), reason)
    assert seen(book) == [950, 1000, 1000]


@pytest.mark.parametrize("change", [300, -300])
def test_a_transfer_that_a_read_showed_before_its_event_moves_the_peak_once(change: int) -> None:
    book = book_of()
    read(book, 1000 + change)
    book.wallet_changed("USDT", D(1000 + change), D(change), "TRANSFER")
    assert seen(book) == [1000 + change, 1000 + change, 1000 + change]


def test_two_transfers_that_a_read_showed_before_their_events_move_the_peak_once_each() -> None:
    book = book_of()
    read(book, 1500)
    book.wallet_changed("USDT", D(1200), D(200), "TRANSFER")
    book.wallet_changed("USDT", D(1500), D(300), "TRANSFER")
    assert seen(book) == [1500, 1500, 1500]


def test_a_transfer_shown_by_the_very_first_read_moves_nothing() -> None:
    book = book_of(1300)
    book.wallet_changed("USDT", D(1300), D(300), "TRANSFER")
    book.wallet_changed("USDT", D(1290), D(0), "ORDER")
    assert seen(book) == [1290, 1300, 1300]


def test_a_read_that_a_transfer_overtook_is_repeated() -> None:
    book = book_of()
    before = book.transfers
    book.wallet_changed("USDT", D(1300), D(300), "TRANSFER")
    wallets = {"USDT": D(1000)}
    assert not book.read(D(1000), wallets, unrealised=D(0), at_ms=MORNING_MS, transfers=before)
    assert seen(book) == [1300, 1300, 1300]


def test_a_transfer_behind_a_read_that_raised_the_peak_moves_the_peak_of_that_read() -> None:
    book = book_of()
    read(book, 1100)
    book.wallet_changed("USDT", D(1400), D(300), "TRANSFER")
    assert seen(book) == [1400, 1400, 1300]


def test_a_transfer_behind_a_change_that_was_never_pushed_is_not_taken_for_shown() -> None:
    book = book_of()
    book.wallet_changed("USDT", D(1290), D(300), "TRANSFER")  # 10 were lost before
    assert seen(book) == [1290, 1300, 1300]


def test_a_read_without_the_asset_shows_no_transfer() -> None:
    book = EquityBook()
    book.read(D(0), {}, unrealised=D(0), at_ms=MORNING_MS, transfers=0)
    for wallet in (300, 500):
        book.wallet_changed("USDT", D(wallet), D(wallet), "DEPOSIT")
    assert seen(book)[1] == 800


def test_the_unrealised_profit_of_a_read_counts_once() -> None:
    book = EquityBook()
    book.read(D(1000), {"USDT": D(950)}, unrealised=D(50), at_ms=MORNING_MS, transfers=0)
    assert seen(book, profit=None)[0] == 1000
    assert seen(book, profit=80)[0] == 1030


def test_wallet_and_profit_of_one_close_count_together() -> None:
    book = EquityBook()
    book.read(D(1000), {"USDT": D(970)}, unrealised=D(30), at_ms=MORNING_MS, transfers=0)
    book.wallet_changed("USDT", D(1000), D(0), "ORDER")
    assert seen(book, profit=None)[0] == 1000
    assert seen(book, profit=0)[0] == 1000


def test_a_read_that_outruns_the_events_of_a_close_is_no_loss_behind_them() -> None:
    book = EquityBook()
    book.read(D(1000), {"USDT": D(970)}, unrealised=D(30), at_ms=MORNING_MS, transfers=0)
    book.read(D(1000), {"USDT": D(1000)}, unrealised=D(0), at_ms=MORNING_MS, transfers=0)
    book.wallet_changed("USDT", D(1000), D(0), "ORDER")
    assert seen(book, profit=0)[0] == 1000


def test_a_read_that_a_balance_has_overtaken_keeps_the_balance() -> None:
    book = EquityBook()
    book.read(D(1000), {"USDT": D(970)}, unrealised=D(30), at_ms=MORNING_MS, transfers=0)
    book.wallet_changed("USDT", D(1000), D(0), "ORDER")
    wallets = {"USDT": D(970)}
    book.read(D(1000), wallets, unrealised=D(30), at_ms=MORNING_MS, transfers=0, overtaken=True)
    assert seen(book, profit=0)[0] == 1000
    book.read(D(1000), wallets, unrealised=D(30), at_ms=MORNING_MS, transfers=0)
    assert seen(book, profit=30)[0] == 1000


def test_the_peak_keeps_its_time_while_it_is_only_reached() -> None:
    book = book_of()
    read(book, 1000, at_ms=MORNING_MS + 5000)
    assert book.state is not None
    assert (book.state.peak_ts_ms, book.state.ts_ms) == (MORNING_MS, MORNING_MS + 5000)


def test_a_small_loss_beside_a_transfer_stays_a_loss() -> None:
    book = book_of()
    book.wallet_changed("USDT", D(995), D(0), "ORDER")
    book.wallet_changed("USDT", D(998), D(3), "TRANSFER")
    assert seen(book) == [998, 1003, 1003]


def test_the_first_equity_of_a_utc_day_opens_it() -> None:
    book = book_of()
    read(book, 900)
    tomorrow_ms = MORNING_MS + DAY_MS
    assert seen(book, tomorrow_ms) == [900, 1000, 900]
    read(book, 905, at_ms=tomorrow_ms)
    read(book, 880, at_ms=tomorrow_ms + 10_000)
    assert seen(book, tomorrow_ms + 10_000) == [880, 1000, 905]


def test_a_restart_keeps_peak_and_day() -> None:
    book = book_of()
    read(book, 930)
    assert book.state is not None
    texts = [text.encode() for text in equity_fields(book.state).values()]
    state, problem = read_equity(texts)
    assert problem == ""
    again = EquityBook(state)
    assert seen(again) == [930, 1000, 1000]
    again.wallet_changed("USDT", D(700), D(-230), "WITHDRAW")
    read(again, 700)
    assert seen(again) == [700, 770, 770]


def test_the_stored_form_has_the_fields_of_the_contract() -> None:
    state = EquityState(D("1000.50"), D(1200), 1_760_000_000_123, 1_760_000_000_000, "2025-10-09", D(900))
    assert equity_fields(state) == {
        "equity": "1000.5",
        "peak": "1200",
        "ts": "1760000000.123",
        "peak_ts": "1760000000",
        "day": "2025-10-09",
        "day_open": "900",
    }
    assert read_equity([text.encode() for text in equity_fields(state).values()]) == (state, "")


@pytest.mark.parametrize("broken", range(6))
def test_an_unreadable_stored_form_is_a_problem(broken: int) -> None:
    texts: list[bytes | None] = [b"1", b"1", b"1", b"1", b"2025-10-09", b"1"]
    texts[broken] = b"\xff" if broken == 4 else b"!"
    state, problem = read_equity(texts)
    assert state is None
    assert problem
    assert read_equity([None] * 6) == (None, "")


@given(st.lists(st.integers(-200, 400), max_size=8), st.integers(500, 1500))
def test_transfers_never_change_the_distance_to_peak_and_day(changes: list[int], margin: int) -> None:
    book = book_of(2000)
    read(book, margin)
    before = seen(book)
    wallet = margin
    for change in changes:
        if wallet + change < 100:
            continue
        wallet += change
        book.wallet_changed("USDT", D(wallet), D(change), "TRANSFER")
    assert seen(book) == [amount + wallet - margin for amount in before]
