"""Wallet balances in events of the private stream."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from channels import BalanceChange, BalancesObserved
from exchange.balance_events import read_balances
from exchange.protocol import Frame
from exchange.user_data import AccountUpdate
from tests.exchange.test_user_data import ARRIVED, order_update, read


def balances(payload: object) -> BalancesObserved | None:
    return read_balances(Frame(msgspec.json.encode(payload).decode(), ARRIVED))


def test_wallet_balances_of_an_account_update_are_read_with_their_reason() -> None:
    rows = [{"a": "USDT", "wb": "122624.12345678", "cw": "100.12", "bc": "50.12"}, {"a": "BNB", "wb": "1"}]
    update = {"e": "ACCOUNT_UPDATE", "E": 1, "T": 2, "a": {"m": "DEPOSIT", "B": rows, "P": []}}
    expected = BalancesObserved(
        "DEPOSIT",
        (
            BalanceChange("USDT", Decimal("122624.12345678"), Decimal("50.12")),
            BalanceChange("BNB", Decimal(1), Decimal(0)),
        ),
        ARRIVED,
    )
    assert balances(update) == expected
    assert balances({"stream": "key", "data": update}) == expected


@pytest.mark.parametrize(
    "change",
    [{"B": []}, {}, {"B": [{"a": "USDT", "wb": "NaN"}]}, {"B": [{"a": "USDT"}]}, {"B": 5}],
    ids=["none", "absent", "no number", "no balance", "its own form"],
)
def test_an_account_update_without_readable_balances_shows_none_and_its_positions_all_the_same(
    change: dict[str, object],
) -> None:
    update = {"e": "ACCOUNT_UPDATE", "E": 1, "T": 2, "a": {"m": "ORDER", **change}}
    assert balances(update) is None
    assert read(update)[1] == AccountUpdate("ORDER", 2, ())


def test_other_events_show_no_balances() -> None:
    assert balances(order_update()) is None
    assert read_balances(Frame("no JSON", ARRIVED)) is None
