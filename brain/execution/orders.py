"""Orders as the executor sends them and as the exchange shows them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from hashlib import sha256

import msgspec

from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.positions.position import Leg

#: Begin of every client order id of the executor.
OWN_PREFIX = "p33-"


def client_order_id(key_prefix: str, plan_id: PlanId) -> ClientOrderId:
    """Return the client order id of a plan's only order: 36 characters, the same in every process.

    Binance allows `^[.A-Z:/a-z0-9_-]{1,36}$` ("New Order", `newClientOrderId`).
    """
    digest = sha256(f"{key_prefix}\0{plan_id}".encode()).hexdigest()
    return ClientOrderId(OWN_PREFIX + digest[:32])


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Market order to be sent once.

    `quantity` is in contracts, a multiple of the market step. In hedge mode `leg` is `LONG` or `SHORT` and
    `reduce_only` is not sent; the leg and side of a close reduce. The exchange refuses the request (-1021)
    after `timestamp_ms + recv_window_ms` by its own clock, so both are fixed before it is sent.
    """

    symbol: Symbol
    side: str
    quantity: Decimal
    leg: Leg
    reduce_only: bool
    client_order_id: ClientOrderId
    timestamp_ms: int
    recv_window_ms: int


class OrderStatus(StrEnum):
    """Status of an order at the exchange (`status`, `X`)."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"
    REJECTED = "REJECTED"

    @property
    def is_final(self) -> bool:
        """Return True if no further fill can come."""
        return self not in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """Order as an answer or an event of the exchange shows it.

    `cumulative` is the filled quantity (contracts); `average_price` is None where the source has none, as
    answers to order requests have since 2026-06-30. `update_ms` is the exchange's clock.
    """

    symbol: Symbol
    leg: Leg
    side: str
    order_id: OrderId
    client_order_id: ClientOrderId
    status: OrderStatus
    cumulative: Decimal
    average_price: Decimal | None
    update_ms: int


class Accepted(msgspec.Struct, frozen=True):
    """Answer 200 with the order."""

    order: OrderState


class NotSent(msgspec.Struct, frozen=True):
    """No byte of the request left this host, so no order can come of it.

    `why`: `connect` (no connection), `ban`, `budget` (the address's request weight is used up) or `late`
    (past the end of its receive window).
    """

    why: str


class Refused(msgspec.Struct, frozen=True):
    """Answer by which no order exists and none will. `error`: as in a result, `binance_error:-2019`."""

    error: str
    message: str


class Unknown(msgspec.Struct, frozen=True):
    """Outcome that only evidence shows. `why` is for operators.

    `refused_unless_found`: the exchange refused it for too many requests (429, 418, -1003, -1015), so that
    one -2013 after the ban proves that there is no order. `error`: that of the result then.
    """

    why: str
    refused_unless_found: bool = False
    error: str = ""


OrderOutcome = Accepted | NotSent | Refused | Unknown
