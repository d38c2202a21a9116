"""The outside world of one service: Redis and the exchange."""

from __future__ import annotations

import msgspec

from exchange.history_protocol import AccountHistory
from exchange.protocol import (
    AccountLookup,
    Exchange,
    MarkPriceConnector,
    OrderEntry,
    OrderLookup,
    StreamConnector,
)
from exchange.weight_budget import WeightBudget
from store.execution_protocol import ServiceStore


class Edges(msgspec.Struct, frozen=True, kw_only=True):
    """A service runs on these. Without `mark_prices`, mark prices come with REST reads alone.

    `order_entry` is there where the executor's role is not off, `account` where the Governor's is not,
    `history` where the reconcile engine's is not.
    """

    store: ServiceStore
    exchange: Exchange
    orders: OrderLookup
    connector: StreamConnector
    mark_prices: MarkPriceConnector | None
    budget: WeightBudget
    order_entry: OrderEntry | None = None
    account: AccountLookup | None = None
    history: AccountHistory | None = None
