"""The account as judgements see it: positions and equity at one moment."""

from __future__ import annotations

from typing import NamedTuple

from actors.governor.equity_keeper import EquityKeeper
from actors.governor.positions import AccountPositions
from brain.governor.case import EquityView
from brain.governor.exposure import Holdings
from brain.moment import Moment


class AccountView(NamedTuple):
    """Positions by mark price and equity, None while unknown; `believed`: all positions are proven."""

    held: Holdings | None
    equity: EquityView | None
    believed: bool


def account_view(positions: AccountPositions, equity: EquityKeeper, now: Moment, now_ms: int) -> AccountView:
    """Return the account at `now`, which is `now_ms` by Redis's clock.

    The equity follows the profit while all positions are proven, and no balance waits for those of its event.
    """
    held, profit = positions.holdings(now)
    believed = positions.believed(now)
    equity.book.marked(profit if believed and not equity.settling else None)
    return AccountView(held, equity.book.view(now_ms), believed)
