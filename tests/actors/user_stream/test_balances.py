"""Wallet balances on the simulator's private stream."""

from __future__ import annotations

from decimal import Decimal

from channels import BalanceChange, PositionObserved
from simulator import RunningSimulator, external_events
from tests.actors.stream_rig import shard_of
from tests.actors.user_stream.test_live import listening, simulator

__all__ = ["simulator"]


async def test_balances_of_an_account_update_go_to_the_governor_with_the_reason_of_the_change(
    simulator: RunningSimulator,
) -> None:
    exchange = simulator.exchange
    before = exchange.wallet_balance
    async with listening(simulator, governor=True) as rig:
        external_events.change_balance(exchange, "DEPOSIT", Decimal("12.5"))
        external_events.change_balance(exchange, "FUNDING_FEE", Decimal("-0.5"), symbol="BTCUSDT")
        await rig.message(PositionObserved, 1, shard_of("BTCUSDT"))
        assert rig.balances is not None
        deposit, fee = await rig.balances.receive_all()
    assert (deposit.reason, fee.reason) == ("DEPOSIT", "FUNDING_FEE")
    assert deposit.changes == (BalanceChange("USDT", before + Decimal("12.5"), Decimal("12.5")),)
    assert fee.changes == (BalanceChange("USDT", before + 12, Decimal("-0.5")),)
    assert deposit.received <= fee.received
