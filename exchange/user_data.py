"""Events of the private stream.

Source: Binance USDⓈ-M Futures, "User Data Streams". Each frame is one event, bare or wrapped as combined
streams do it: `{"stream": …, "data": {…}}`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import msgspec

from brain.execution.orders import OWN_PREFIX, OrderState, OrderStatus
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.json_text import read_json
from brain.numbers import ZERO
from brain.positions.position import Leg, LegPosition
from channels import (
    FillObserved,
    LeverageObserved,
    OrderEndObserved,
    OwnOrderObserved,
    PositionObserved,
)
from exchange.errors import UnreadableEvent
from exchange.exact import finite, finite_or_none
from exchange.orders_wire import price_or_none
from exchange.protocol import Frame

T = TypeVar("T")


class AccountUpdate(msgspec.Struct, frozen=True):
    """`ACCOUNT_UPDATE`: the positions that changed; none for transfers, funding of cross positions and such.

    `reason` is the event's `m`, for instance `ORDER`; `transaction_ms` its `T`. The positions do not depend
    on the reason: funding fees and margin transfers of isolated positions show them unchanged.
    """

    reason: str
    transaction_ms: int
    positions: tuple[PositionObserved, ...]


class ListenKeyExpired(msgspec.Struct, frozen=True):
    """`listenKeyExpired`: connections of that key get no more events."""


class OtherEvent(msgspec.Struct, frozen=True):
    """Event without positions: a placed order, `TRADE_LITE`, unknown types."""


UserEvent = AccountUpdate | FillObserved | OrderEndObserved | LeverageObserved | ListenKeyExpired | OtherEvent

#: Documented event types. Others are counted as `other`, so that metric labels stay bounded.
_DOCUMENTED = frozenset(
    {
        "ACCOUNT_CONFIG_UPDATE",
        "ACCOUNT_UPDATE",
        "ALGO_UPDATE",
        "CONDITIONAL_ORDER_TRIGGER_REJECT",
        "GRID_UPDATE",
        "MARGIN_CALL",
        "ORDER_TRADE_UPDATE",
        "STRATEGY_UPDATE",
        "TRADE_LITE",
        "listenKeyExpired",
    }
)

#: Statuses that end an order without a trade.
_ENDED_UNFILLED = frozenset({"CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})
_EXECUTIONS_THAT_FILL = frozenset({"TRADE", "CALCULATED"})
_AMENDMENT = "AMENDMENT"


class _Envelope(msgspec.Struct, frozen=True):
    e: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _ChangedPosition(msgspec.Struct, frozen=True):
    s: Symbol
    pa: Decimal
    ep: object = ZERO
    ps: Leg = Leg.BOTH


class _AccountChange(msgspec.Struct, frozen=True):
    m: str = ""
    P: tuple[_ChangedPosition, ...] = ()


class _AccountUpdate(msgspec.Struct, frozen=True):
    T: int
    a: _AccountChange


class _Order(msgspec.Struct, frozen=True):
    s: Symbol
    S: str
    x: str
    X: str
    i: int
    z: Decimal
    l: Decimal = ZERO  # noqa: E741 - the field's name on the wire
    c: ClientOrderId = ClientOrderId("")
    ps: Leg = Leg.BOTH


class _OrderTradeUpdate(msgspec.Struct, frozen=True):
    T: int
    o: _Order


class _OwnOrder(msgspec.Struct, frozen=True):
    s: Symbol
    S: str
    x: str
    X: OrderStatus
    i: int
    z: Decimal
    c: ClientOrderId = ClientOrderId("")
    ps: Leg = Leg.BOTH
    ap: object = None


class _OwnOrderUpdate(msgspec.Struct, frozen=True):
    T: int
    o: _OwnOrder


class _Leverage(msgspec.Struct, frozen=True):
    s: Symbol
    l: Decimal  # noqa: E741 - the field's name on the wire


class _AccountConfigUpdate(msgspec.Struct, frozen=True):
    ac: msgspec.Raw = msgspec.Raw(b"null")


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ACCOUNT_UPDATE = msgspec.json.Decoder(_AccountUpdate)
_ORDER_TRADE_UPDATE = msgspec.json.Decoder(_OrderTradeUpdate)
_OWN_ORDER_UPDATE = msgspec.json.Decoder(_OwnOrderUpdate)
_ACCOUNT_CONFIG_UPDATE = msgspec.json.Decoder(_AccountConfigUpdate)
_LEVERAGE = msgspec.json.Decoder(_Leverage)


def read_event(frame: Frame) -> tuple[str, UserEvent]:
    """Return the event's type, for counting, and the event. Raises UnreadableEvent."""
    event_type, raw = unwrap(frame.raw)
    label = event_type if event_type in _DOCUMENTED else "other"
    match event_type:
        case "ACCOUNT_UPDATE":
            return label, _account_update(_decode(_ACCOUNT_UPDATE, raw, event_type), frame)
        case "ORDER_TRADE_UPDATE":
            return label, _order_update(_decode(_ORDER_TRADE_UPDATE, raw, event_type), frame)
        case "ACCOUNT_CONFIG_UPDATE":
            return label, _config_update(_decode(_ACCOUNT_CONFIG_UPDATE, raw, event_type), frame)
        case "listenKeyExpired":
            return label, ListenKeyExpired()
        case _:
            return label, OtherEvent()


def unwrap(raw: str | bytes) -> tuple[str, str | bytes | msgspec.Raw]:
    """Return the event's type and JSON. Raises UnreadableEvent."""
    envelope = _decode(_ENVELOPE, raw, "frame")
    if envelope.e:
        return envelope.e, raw
    if bytes(envelope.data):
        inner = _decode(_ENVELOPE, envelope.data, "frame")
        if inner.e:
            return inner.e, envelope.data
    raise UnreadableEvent("a frame without an event type")


def _decode(decoder: msgspec.json.Decoder[T], raw: str | bytes | msgspec.Raw, what: str) -> T:
    try:
        return read_json(decoder, raw)
    except msgspec.DecodeError as error:
        raise UnreadableEvent(f"{what}: {error}") from None


def _exact(number: Decimal, what: str) -> Decimal:
    try:
        return finite(number)
    except ValueError as error:
        raise UnreadableEvent(f"{what}: {error}") from None


def _config_update(event: _AccountConfigUpdate, frame: Frame) -> LeverageObserved | OtherEvent:
    """Return a symbol's new leverage, or OtherEvent where none can be read: decisions do not use it."""
    try:
        change = read_json(_LEVERAGE, event.ac)
        return LeverageObserved(change.s, finite(change.l), frame.received)
    except (msgspec.DecodeError, ValueError):
        return OtherEvent()


def _account_update(event: _AccountUpdate, frame: Frame) -> AccountUpdate:
    """Return the legs of the account's mode.

    In hedge mode the event may contain a flat BOTH leg, which cannot be traded: it is left out.
    """
    hedged = {change.s for change in event.a.P if change.ps is not Leg.BOTH}
    return AccountUpdate(
        reason=event.a.m,
        transaction_ms=event.T,
        positions=tuple(
            PositionObserved(
                change.s,
                LegPosition(
                    change.ps,
                    _exact(change.pa, "ACCOUNT_UPDATE"),
                    finite_or_none(change.ep),
                    event.T,
                ),
                frame.received,
            )
            for change in event.a.P
            if change.ps is not Leg.BOTH or change.s not in hedged or change.pa != 0
        ),
    )


def _order_update(event: _OrderTradeUpdate, frame: Frame) -> FillObserved | OrderEndObserved | OtherEvent:
    """Return a trade or a liquidation's calculated execution, or the end of an order without another fill."""
    order = event.o
    if order.x not in _EXECUTIONS_THAT_FILL:
        filled = finite_or_none(order.z)
        if order.X not in _ENDED_UNFILLED or filled is None:
            return OtherEvent()
        return OrderEndObserved(
            symbol=order.s,
            leg=order.ps,
            order_id=OrderId(str(order.i)),
            client_order_id=order.c,
            order_side=order.S,
            cumulative=filled,
            status=order.X,
            transaction_ms=event.T,
            received=frame.received,
        )
    return FillObserved(
        symbol=order.s,
        leg=order.ps,
        order_id=OrderId(str(order.i)),
        client_order_id=order.c,
        order_side=order.S,
        cumulative=_exact(order.z, "ORDER_TRADE_UPDATE"),
        status=order.X,
        transaction_ms=event.T,
        received=frame.received,
        quantity=_exact(order.l, "ORDER_TRADE_UPDATE"),
    )


def read_own_order(frame: Frame) -> OwnOrderObserved | None:
    """Return the state of an order of the executor, whatever kind of execution an event shows.

    None for any other event, for an amendment, and for a state that cannot be read: the executor then asks
    for the order.
    """
    try:
        event_type, raw = unwrap(frame.raw)
        if event_type != "ORDER_TRADE_UPDATE":
            return None
        event = read_json(_OWN_ORDER_UPDATE, raw)
        order, filled = event.o, finite(event.o.z)
    except (UnreadableEvent, msgspec.DecodeError, ValueError):
        return None
    if not order.c.startswith(OWN_PREFIX) or order.x == _AMENDMENT or filled < 0:
        return None
    return OwnOrderObserved(
        OrderState(
            symbol=order.s,
            leg=order.ps,
            side=order.S,
            order_id=OrderId(str(order.i)),
            client_order_id=order.c,
            status=order.X,
            cumulative=filled,
            average_price=price_or_none(order.ap),
            update_ms=event.T,
        ),
        frame.received,
    )
