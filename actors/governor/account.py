"""The account as judgements see it: positions and equity at one moment."""

from __future__ import annotations

from typing import NamedTuple

from actors.governor.positions import AccountPositions
from brain.governor.case import EquityView
from brain.governor.equity import EquityBook
from brain.governor.exposure import Holdings
from brain.moment import Moment


class AccountView(NamedTuple):
    """Positions by mark price and equity, None while unknown; `believed`: all positions are proven."""

    held: Holdings | None
    equity: EquityView | None
    believed: bool


def account_view(positions: AccountPositions, equity: EquityBook, now: Moment, now_ms: int) -> AccountView:
    """Return the account at `now`, which is `now_ms` by Redis's clock."""
    held, profit = positions.holdings(now)
    equity.marked(profit)
    return AccountView(held, equity.view(now_ms), positions.believed(now))
