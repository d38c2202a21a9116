"""The final check of the demo: the accounting, once the daemon has dealt with everything."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio

from commands.demo.accounting import Caused, Found, differences, ledger_differences
from commands.demo.exchange_client import ExchangeClient
from commands.demo.machine_load import LoadMeter, Patience
from commands.demo.other_services import OtherServices
from commands.demo.record import Record

_WITHIN_SEC = 5.0
_LOOK_SEC = 0.1


class FinalCheck(msgspec.Struct, frozen=True):
    """Result: `symbols` compared, `open_positions` of them not flat, `differences` a line each.

    `ledgers_differ`: some of them are between ledger or snapshot and the exchange.
    `unacknowledged`: entries of intents, plans and results that the daemon has not acknowledged.
    `open_cases`: symbols whose case the stage has left open; `unfinished`: those that were not judged.
    `counted`: results that P3.5 has counted, None without it.
    """

    symbols: int
    open_positions: int
    differences: tuple[str, ...]
    unacknowledged: int
    ledgers_differ: bool = False
    open_cases: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    counted: int | None = None

    @property
    def agrees(self) -> bool:
        return not self.differences and self.unacknowledged == 0


async def check_final_state(
    services: OtherServices,
    exchange: ExchangeClient,
    symbols: Sequence[str],
    meter: LoadMeter,
    record: Record,
    caused: Caused,
) -> FinalCheck:
    """Account for everything, once all is acknowledged and adds up, or after 5 s.

    On a busy machine it waits for longer; a difference that stays is a difference.
    """
    patience = Patience(_WITHIN_SEC, meter)
    while True:
        final_check = await _compare(services, exchange, symbols, record, caused)
        if final_check.agrees or patience.is_over:
            return final_check
        await trio.sleep(_LOOK_SEC)


async def _compare(
    services: OtherServices,
    exchange: ExchangeClient,
    symbols: Sequence[str],
    record: Record,
    caused: Caused,
) -> FinalCheck:
    unacknowledged = await services.unacknowledged()
    positions = await exchange.positions()
    counted = await services.counted_results()
    found = Found(
        orders=await exchange.executed_orders(),
        positions=positions,
        symbols=dict(zip(symbols, await services.read_symbols(symbols), strict=True)),
        unsettled=await services.live_grants(),
        counted=counted,
    )
    ledgers = list(ledger_differences(found, caused))
    return FinalCheck(
        len(symbols),
        len(positions),
        (*ledgers, *differences(record, found, caused, bridged=services.own_bridge)),
        unacknowledged,
        bool(ledgers),
        tuple(sorted(caused.open)),
        tuple(sorted(caused.unfinished)),
        counted,
    )
