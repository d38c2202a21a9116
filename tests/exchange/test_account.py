"""Rights of an account and a key, and its totals, read from the simulator over real sockets."""

from __future__ import annotations

import msgspec
import pytest

from exchange.account import AccountBody
from exchange.endpoints import ACCOUNT
from exchange.errors import ExchangeRejected
from simulator import RunningSimulator
from tests.exchange.parts import Parts


async def test_the_account_reports_whether_it_may_trade_and_its_position_mode(
    simulator: RunningSimulator, parts: Parts
) -> None:
    config = await parts.rest.account_config()
    assert (config.can_trade, config.dual_side_position) == (True, False)
    simulator.exchange.can_trade = False
    simulator.exchange.set_hedge_mode(True)
    config = await parts.rest.account_config()
    assert (config.can_trade, config.dual_side_position) == (False, True)
    # Two reads, and the one that learnt the exchange's clock.
    assert parts.budget.own_used == 11


async def test_the_key_reports_its_rights(simulator: RunningSimulator, parts: Parts) -> None:
    rights = simulator.exchange.key_rights
    rights.enable_withdrawals, rights.enable_futures = True, False
    shown = await parts.rest.key_permissions()
    assert (shown.enable_reading, shown.enable_withdrawals, shown.enable_futures) == (True, True, False)
    assert shown.ip_restrict is False


async def test_a_key_that_may_not_read_is_refused(simulator: RunningSimulator, parts: Parts) -> None:
    simulator.exchange.key_rights.enable_reading = False
    with pytest.raises(ExchangeRejected) as refused:
        await parts.rest.account_config()
    assert refused.value.code == -2015


async def test_the_accounts_totals_are_equity_unrealised_profit_and_wallets(
    simulator: RunningSimulator, parts: Parts
) -> None:
    read = await parts.rest.account_totals()
    wallet = simulator.exchange.wallet_balance
    assert read.totals.wallets == {"USDT": wallet}
    assert read.totals.margin_balance == read.totals.unrealized_profit + wallet
    assert read.sent <= read.received
    # The read, and the one that learnt the exchange's clock.
    assert parts.budget.own_used == 6


def test_totals_that_are_no_numbers_are_no_answer() -> None:
    body = {"totalMarginBalance": "1e300", "totalUnrealizedProfit": "0", "assets": []}
    with pytest.raises(ValueError, match="out of range"):
        msgspec.json.decode(msgspec.json.encode(body), type=AccountBody).totals()


async def test_the_weight_of_a_read_of_the_totals_is_measured_by_the_header(
    simulator: RunningSimulator, parts: Parts
) -> None:
    assert parts.budget.weights.of(ACCOUNT) == 5
    simulator.exchange.weights.overrides = {ACCOUNT.path: 10}
    for _ in range(4):
        await parts.rest.account_totals()
    assert parts.budget.weights.of(ACCOUNT) == 10
