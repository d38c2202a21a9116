"""Transfers and swaps that no read has shown, or that are of other assets, and those that nothing shows."""

from __future__ import annotations

import pytest

from brain.governor.equity import EquityBook
from tests.brain.governor.test_equity import DAY_MS, MORNING_MS, D, book_of, read, seen


def restarted(margin: int = 1000) -> EquityBook:
    """The book of a process behind one that stored its read."""
    return EquityBook(book_of(margin).state)


def test_a_deposit_before_the_first_read_of_a_process_is_no_loss() -> None:
    book = restarted()
    book.wallet_changed("USDT", D(2000), D(1000), "DEPOSIT")
    assert seen(book, profit=None) == [2000, 2000, 2000]
    read(book, 2000)
    assert seen(book) == [2000, 2000, 2000]


def test_a_deposit_into_an_account_whose_read_names_no_usdt_is_no_loss() -> None:
    book = EquityBook()
    book.read(D(500), {"BNB": D(1)}, unrealised=D(0), at_ms=MORNING_MS, transfers=0)
    book.wallet_changed("USDT", D(1000), D(1000), "DEPOSIT")
    assert seen(book) == [1500, 1500, 1500]


@pytest.mark.parametrize("shown", [False, True], ids=["event first", "read first"])
@pytest.mark.parametrize(
    ("after", "peak"), [(900, 1000), (400, 500)], ids=["all assets count", "USDT counts"]
)
def test_a_swap_of_assets_keeps_the_distance_to_peak_and_day(after: int, peak: int, *, shown: bool) -> None:
    book = book_of()
    read(book, 900)
    swapped = {"USDT": D(400), "BNB": D(1)}
    if shown:
        assert book.read(D(after), swapped, unrealised=D(0), at_ms=MORNING_MS, transfers=book.transfers)
    book.wallet_changed("USDT", D(400), D(-500), "COIN_SWAP_WITHDRAW")
    book.wallet_changed("BNB", D(1), D(1), "COIN_SWAP_DEPOSIT")
    if not shown:
        assert seen(book) == [900, 1000, 1000]
    assert book.read(D(after), swapped, unrealised=D(0), at_ms=MORNING_MS, transfers=book.transfers)
    assert seen(book) == [after, peak, peak]


@pytest.mark.parametrize("shown", [False, True], ids=["event first", "read first"])
def test_a_withdrawal_of_another_asset_is_no_loss(*, shown: bool) -> None:
    book = EquityBook()
    both, one = {"USDT": D(500), "USDC": D(500)}, {"USDT": D(500)}
    book.read(D(1000), both, unrealised=D(0), at_ms=MORNING_MS, transfers=0)
    if shown:
        book.read(D(500), one, unrealised=D(0), at_ms=MORNING_MS, transfers=0)
    book.wallet_changed("USDC", D(0), D(-500), "WITHDRAW")
    book.read(D(500), one, unrealised=D(0), at_ms=MORNING_MS, transfers=book.transfers)
    assert seen(book) == [500, 500, 500]


def test_a_loss_while_no_process_was_there_may_be_a_withdrawal() -> None:
    book = restarted()
    read(book, 700)
    view = book.view(MORNING_MS)
    assert view is not None
    assert [view.equity, view.peak, view.read, view.missed, view.missed_today] == [700, 1000, 700, 300, 300]
    tomorrow = book.view(MORNING_MS + DAY_MS)
    assert tomorrow is not None
    assert [tomorrow.missed, tomorrow.missed_today] == [300, 0]
    book.wallet_changed("USDT", D(700), D(-200), "WITHDRAW")  # shown by that read
    view = book.view(MORNING_MS)
    assert view is not None
    assert [view.equity, view.peak, view.missed] == [700, 1000 - 200, 100]


def test_a_transfer_behind_a_read_belongs_to_it() -> None:
    book = book_of()
    book.wallet_changed("USDT", D(700), D(-300), "WITHDRAW")
    view = book.view(MORNING_MS)
    assert view is not None
    assert [view.equity, view.read] == [700, 700]
