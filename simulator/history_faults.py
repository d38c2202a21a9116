"""Switches of the account's history: the lists of trades and orders."""

from __future__ import annotations

from random import Random
from typing import Annotated

import msgspec

from simulator.order_faults import OrderFaults

_LONGEST_LAG_MS = 60_000


class HistoryFaults(OrderFaults, kw_only=True, forbid_unknown_fields=True):
    """The fields of ``Faults`` that ``userTrades``, ``allOrders`` and ``forceOrders`` obey.

    A fill appears in these lists ``history_lag_ms`` after it was made, give or take ``history_lag_jitter_ms``
    (drawn for each fill); so does a new order. Positions, events and ``GET /fapi/v1/order`` show it at once.
    A page has ``rows_at_most`` rows, whatever higher ``limit`` was asked for. A span with more rows than
    that begins with the oldest, or with ``full_pages_are_newest`` ends with the newest. With
    ``forced_orders_hidden`` nothing but ``forceOrders`` shows the orders of liquidations and ADL: they are
    missing in ``allOrders`` and -2013 to queries; ``userTrades`` has their trades.
    """

    history_lag_ms: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_LAG_MS)] = 0.0
    history_lag_jitter_ms: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_LAG_MS)] = 0.0
    rows_at_most: Annotated[int, msgspec.Meta(ge=1)] = 1000
    full_pages_are_newest: bool = False
    forced_orders_hidden: bool = False

    def draw_history_lag_ms(self, random: Random) -> int:
        """Draw how long the next fill is missing in the lists (milliseconds)."""
        return max(0, round(self.history_lag_ms + random.uniform(-1, 1) * self.history_lag_jitter_ms))
