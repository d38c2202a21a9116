"""Intents as read: entries of `trade.intent`, `exit.intent` and `harvest.intent`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.identifiers import EntryId, Symbol
from brain.plans.plan import Side
from brain.positions.position import Leg


class Lane(StrEnum):
    """Stream of an intent, without the key prefix."""

    TRADE = "trade.intent"
    EXIT = "exit.intent"
    HARVEST = "harvest.intent"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """Well-formed intent. Amounts are above 0, or None where the intent gives none.

    `publisher_id`: the publisher's own id, by which an intent that is published twice is one; empty for none.
    `side`: BUY or SELL, or CLOSE. `closes`: CLOSE or `reduceOnly`: it can open nothing.
    The size is `quantity` (contracts), or `notional` (quote currency) at `price`, or at the mark price where
    that is None, or `fraction` of the position (below 1, of the exit lanes). A close without a size is one of
    all.
    `leg` is that of `positionSide`; `of_leg` the position's side as an exit intent has it, LONG or SHORT.
    `entry_price`: the price that is expected; `stop_loss_pct` and `take_profit_pct` are percentages of it.
    `extras`: optional fields that go on to the plan, by name, as text that plans may have.
    """

    entry_id: EntryId
    lane: Lane
    symbol: Symbol
    side: Side
    closes: bool
    publisher_id: str = ""
    quantity: Decimal | None = None
    notional: Decimal | None = None
    price: Decimal | None = None
    fraction: Decimal | None = None
    leg: Leg | None = None
    of_leg: Leg | None = None
    entry_price: Decimal | None = None
    stop_loss_pct: Decimal | None = None
    take_profit_pct: Decimal | None = None
    source: str = ""
    extras: Mapping[str, str] = {}


class MalformedIntent(msgspec.Struct, frozen=True):
    """Intent that cannot be read. `problems` has the error of each bad field; `symbol` may be one."""

    entry_id: EntryId
    lane: Lane
    symbol: Symbol | None
    problems: dict[str, str]
