"""The final check of the demo: Redis agrees with the exchange, and no entry is left over."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import trio

from commands.demo.exchange_client import ExchangeClient
from commands.demo.machine_load import LoadMeter, Patience
from commands.demo.other_services import OtherServices, shown
from commands.demo.service_executor import ServiceExecutor

_WITHIN_SEC = 5.0
_LOOK_SEC = 0.1


class FinalCheck(msgspec.Struct, frozen=True):
    """Result: `symbols` compared, `open_positions` of them not flat, `differences` a line each.

    `unacknowledged`: entries of plans and results that the daemon has not acknowledged.
    `decided_twice`: plans with more than one decision.
    """

    symbols: int
    open_positions: int
    differences: tuple[str, ...]
    unacknowledged: int
    decided_twice: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        return not self.differences and self.unacknowledged == 0


async def check_final_state(
    services: OtherServices,
    exchange: ExchangeClient,
    symbols: Sequence[str],
    meter: LoadMeter,
    executor: ServiceExecutor | None = None,
) -> FinalCheck:
    """Compare every symbol's ledger and snapshot with the exchange, once all is acknowledged or after 5 s.

    With the daemon's executor its results are compared with the exchange's orders, too, and no grant of an
    executed plan may be left. On a busy machine it
    waits for longer; a difference that stays is a difference.
    """
    patience = Patience(_WITHIN_SEC, meter)
    while True:
        final_check = await _compare(services, exchange, symbols, executor)
        if final_check.agrees or patience.is_over:
            return final_check
        await trio.sleep(_LOOK_SEC)


async def _compare(
    services: OtherServices,
    exchange: ExchangeClient,
    symbols: Sequence[str],
    executor: ServiceExecutor | None,
) -> FinalCheck:
    unacknowledged = await services.unacknowledged()
    positions = await exchange.positions()
    differences: list[str] = []
    for symbol, stored in zip(symbols, await services.read_symbols(symbols), strict=True):
        amount = positions.get(symbol, Decimal(0))
        if stored.ledger != amount:
            differences.append(f"{symbol}: exchange {amount:f}, ledger {shown(stored.ledger)}")
        if stored.snapshot != amount:
            differences.append(f"{symbol}: exchange {amount:f}, snapshot {shown(stored.snapshot)}")
    if executor is not None:
        log = await exchange.request_log()
        differences += executor.differences(log.orders(), all_of_them=log.total == len(log.records))
        differences += executor.unsettled(await services.live_grants())
    twice = tuple(await services.decided_twice())
    return FinalCheck(len(symbols), len(positions), tuple(differences), unacknowledged, twice)
