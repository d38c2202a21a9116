"""Switches of the order side: how orders are filled, shown, refused and answered."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

_LONGEST_DELAY_MS = 60_000


class OrderFaults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields of ``Faults`` that orders obey.

    Fills: an order that matches the market is filled in ``fills_per_order`` parts, ``fill_interval_ms``
    apart, the first of them ``first_fill_after_ms`` after it was taken. After ``expire_after_fills`` parts
    (0: before the first) what is left expires. An order keeps what was set when it began to match.
    With ``resting_orders_fill`` off no mark price fills a resting limit order: only a control request does.

    Queries: for ``order_visible_after_ms`` after it was taken an order is -2013 to ``GET /fapi/v1/order`` and
    ``openOrder``, and missing from ``allOrders`` and ``openOrders``. Cancelling finds it at once.

    Rules: ``client_ids_unique_forever`` refuses the client order id of an ended order, too (-4116).
    ``unfillable_limit_orders``: a FOK order that does not match and a GTX order that does are ``refused``
    (-5021, -5022) or accepted and ``expired``. Market orders in ``thin_books`` (symbols) are refused (-4131).
    ``margin_checks`` off takes orders that the balance does not cover (-2019, -2027, -2028).
    ``refuse_same_leverage`` refuses a change to the leverage that is set already (-4028).

    Answers: ``order_answers_with_average`` puts ``avgPrice`` and ``cumQuote`` into the answers to new and
    cancelled orders, as before 2026-06. ``late_ms`` is how long a request struck by ``late`` is under way.
    """

    fills_per_order: Annotated[int, msgspec.Meta(ge=1)] = 1
    fill_interval_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    first_fill_after_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    expire_after_fills: Annotated[int, msgspec.Meta(ge=0)] | None = None
    resting_orders_fill: bool = True

    order_visible_after_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    client_ids_unique_forever: bool = False
    unfillable_limit_orders: Literal["refused", "expired"] = "refused"
    thin_books: list[str] = []
    margin_checks: bool = True
    refuse_same_leverage: bool = False

    order_answers_with_average: bool = False
    late_ms: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_DELAY_MS)] = 10_000.0
