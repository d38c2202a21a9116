"""The account as judgements see it: positions and equity at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from actors.governor.positions import AccountPositions
from brain.governor.case import EquityView
from brain.governor.equity import EquityBook
from brain.governor.exposure import Holdings, holdings
from brain.moment import Moment
from brain.numbers import ZERO
from brain.positions.position import Snapshot


class AccountView(NamedTuple):
    """Positions by mark price and equity, None while unknown; `believed`: all positions are proven."""

    held: Holdings | None
    equity: EquityView | None
    believed: bool


def unrealised_profit(snapshots: Sequence[Snapshot]) -> Decimal | None:
    """Return the profit of positions by their mark prices; None where one is not known."""
    total = ZERO
    for snapshot in snapshots:
        profit = snapshot.unrealized_pnl
        if profit is None:
            return None
        total += profit
    return total


def account_view(positions: AccountPositions, equity: EquityBook, now: Moment, now_ms: int) -> AccountView:
    """Return the account at `now`, which is `now_ms` by Redis's clock."""
    snapshots = positions.held(now)
    equity.marked(unrealised_profit(snapshots))
    return AccountView(holdings(snapshots), equity.view(now_ms), positions.believed(now))
