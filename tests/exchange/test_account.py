"""Rights of an account and a key, read from the simulator over real sockets."""

from __future__ import annotations

import pytest

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
