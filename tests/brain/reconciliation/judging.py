"""Judge of the random histories' repairs, by the exchange's own fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.numbers import ZERO
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Evidence

if TYPE_CHECKING:
    from tests.brain.reconciliation.account import Account


def judge_repair(account: Account, found: Drift, looked: Evidence, view: int) -> None:
    """Compare a repaired ledger with the true fills of the compared position, whatever agreed before.

    It is the exchange's amount less the fills of others that it does not contain: no own fill is left out
    that the exchange's list has shown. What the list lacks makes nothing together, or no sum came out.
    """
    venue, shown = account.venue, {trade.trade_id for trade in looked.trades}
    for each in found.drifted:
        foreign = ours = ZERO
        for order in venue.orders:
            if order.leg is not each.leg:
                continue
            later = [each for each in order.fills if each.place < view and each.time_ms >= looked.since_ms]
            hidden = sum((each.quantity for each in later if each.trade_id not in shown), ZERO)
            cumulative = order.cumulative(view) - hidden
            if account.is_ours(order):
                contained = account.contained.get(order.order_id, ZERO)
                ours += order.signed(max(cumulative, account.booked(order)) - contained)
            else:
                lacks = cumulative - account.absorbed.get(order.order_id, ZERO)
                foreign += order.signed(max(ZERO, lacks))
        ledger = account.amount(each.leg)
        assert ledger == venue.amount(each.leg, view) - foreign, "an own fill is left out"
        if not account.corrected:
            assert ledger == account.adopted_amount(each.leg) + ours, "not the trades since the adoption"
