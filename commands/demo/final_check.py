"""The end of the demo: does what Redis believes agree with the exchange, and is nothing left over?"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import trio

from commands.demo.exchange_client import ExchangeClient
from commands.demo.other_services import Neighbours, shown

_SETTLE_SEC = 5.0
_LOOK_SEC = 0.1


class Reckoning(msgspec.Struct, frozen=True):
    """`symbols` were compared, `open_positions` of them are not flat; `differences` say what does not agree.

    `unsettled`: entries of plans and results that the daemon has not acknowledged.
    """

    symbols: int
    open_positions: int
    differences: tuple[str, ...]
    unsettled: int

    @property
    def agrees(self) -> bool:
        return not self.differences and self.unsettled == 0


async def reckon(neighbours: Neighbours, exchange: ExchangeClient, symbols: Sequence[str]) -> Reckoning:
    """Compare ledger and snapshot of every symbol with the exchange, once all is settled or 5 s are over."""
    deadline_sec = trio.current_time() + _SETTLE_SEC
    while True:
        reckoning = await _compare(neighbours, exchange, symbols)
        if reckoning.agrees or trio.current_time() > deadline_sec:
            return reckoning
        await trio.sleep(_LOOK_SEC)


async def _compare(neighbours: Neighbours, exchange: ExchangeClient, symbols: Sequence[str]) -> Reckoning:
    unsettled = await neighbours.unsettled()
    positions = await exchange.positions()
    differences: list[str] = []
    for symbol, believed in zip(symbols, await neighbours.beliefs(symbols), strict=True):
        amount = positions.get(symbol, Decimal(0))
        if believed.ledger != amount:
            differences.append(f"{symbol}: exchange {amount:f}, ledger {shown(believed.ledger)}")
        if believed.snapshot != amount:
            differences.append(f"{symbol}: exchange {amount:f}, snapshot {shown(believed.snapshot)}")
    return Reckoning(len(symbols), len(positions), tuple(differences), unsettled)
