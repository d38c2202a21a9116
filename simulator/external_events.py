"""Account changes that the service's orders do not cause: manual trades, stops, liquidation, ADL, fees.

Source: USDⓈ-M Futures, "Event: Order Update" (special client order ids), "Event: Balance and Position
Update".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from simulator import events
from simulator.events import UserEvent
from simulator.exchange import SimulatedExchange
from simulator.history import PositionSide
from simulator.listing import SETTLING
from simulator.orders import MarketOrder, Order

Cause = Literal["trade", "stop", "liquidation", "adl", "settlement"]
#: Where a trade of another party came from: a person at the website or an app, or another program.
Sender = Literal["web", "ios", "android", "robot"]
#: Why an account changes without an order of its own.
BalanceReason = Literal[
    "DEPOSIT",
    "WITHDRAW",
    "FUNDING_FEE",
    "WITHDRAW_REJECT",
    "ADJUSTMENT",
    "INSURANCE_CLEAR",
    "ADMIN_DEPOSIT",
    "ADMIN_WITHDRAW",
    "MARGIN_TRANSFER",
    "MARGIN_TYPE_CHANGE",
    "ASSET_TRANSFER",
    "OPTIONS_PREMIUM_FEE",
    "OPTIONS_SETTLE_PROFIT",
    "AUTO_EXCHANGE",
    "COIN_SWAP_DEPOSIT",
    "COIN_SWAP_WITHDRAW",
]

_ORDER_TYPES: dict[Cause, str] = {"stop": "STOP_MARKET", "liquidation": "LIQUIDATION"}
_CALCULATED: tuple[Cause, ...] = ("liquidation", "adl")
#: Client order ids of other programs begin with the broker's id.
_ID_PREFIXES: dict[Sender, str] = {"web": "web_", "ios": "ios_", "android": "android_", "robot": "x-robot-"}
_DELISTED = "7"


def move_position(
    exchange: SimulatedExchange,
    symbol: str,
    *,
    delta: Decimal | None = None,
    target: Decimal | None = None,
    position_side: PositionSide | None = None,
    cause: Cause = "trade",
    price: Decimal | None = None,
    announced: bool = True,
    sender: Sender = "web",
    client_order_id: str | None = None,
    parts: int = 1,
) -> Order | None:
    """Change a position by ``delta``, or to ``target``, as another party's order would.

    ``cause`` decides the client order id (``autoclose-…``, ``adl_autoclose``, ``settlement_autoclose-…``, a
    stop order's, or a trade's by its ``sender``) unless ``client_order_id`` is one. The order is filled in so
    many ``parts``. With ``announced=False`` no event is sent: a lost event, so that only REST
    shows the change. Returns the order, or nothing when there is nothing to change. ``ValueError`` unless
    exactly one of ``delta`` and ``target`` is given, and for more parts than steps; ``ApiError`` -1121 for an
    unknown symbol.
    """
    if (delta is None) == (target is None):
        raise ValueError("give either delta or target")
    leg = position_side or exchange.legs[0]
    if leg not in exchange.legs:
        raise ValueError(f"positionSide {leg} does not exist in this position mode")
    listed = exchange.symbol(symbol)
    before = exchange.position(symbol, leg).amount
    change = target - before if target is not None else delta
    if not change:
        return None
    if change % listed.step_size:
        raise ValueError(f"{change} is no multiple of {symbol}'s step size {listed.step_size}")
    after = before + change
    quantities = _parts(abs(change), listed.step_size, parts)
    if (leg == "LONG" and after < 0) or (leg == "SHORT" and after > 0):
        raise ValueError(f"{leg} cannot become {after}")
    request = MarketOrder(
        symbol=symbol,
        side="BUY" if change > 0 else "SELL",
        quantity=abs(change),
        position_side=leg,
        reduce_only=cause in ("liquidation", "adl", "settlement"),
        client_order_id=client_order_id or _client_order_id(exchange, cause, sender),
    )
    order = exchange.accept_order(
        request, request.quantity, order_type=_ORDER_TYPES.get(cause, "MARKET"), announced=announced
    )
    price = exchange.mark_price(symbol) if price is None else price
    is_conditional = announced and cause == "stop"
    if is_conditional:
        _announce_conditional(exchange, order, "TRIGGERED", price)
    for quantity in quantities:
        exchange.fill(
            order,
            quantity,
            price,
            execution_type="CALCULATED" if cause in _CALCULATED else "TRADE",
            announced=announced,
        )
    if is_conditional:
        _announce_conditional(exchange, order, "FINISHED", price)
    return order


def settle(exchange: SimulatedExchange, symbol: str, *, announced: bool = True) -> list[Order]:
    """End a symbol's trading: its open orders are cancelled, its positions closed at the mark price.

    The status is ``SETTLING`` from then on. Returns the orders that closed a position. ``ApiError`` -1121 for
    an unknown symbol.
    """
    exchange.listing.set_status(symbol, SETTLING)
    for order in exchange.orders.open(symbol):
        exchange.end_order(order, "CANCELED", _DELISTED)
    closed = [
        move_position(
            exchange,
            symbol,
            target=Decimal(0),
            position_side=leg,
            cause="settlement",
            announced=announced,
        )
        for leg in exchange.legs
    ]
    return [order for order in closed if order is not None]


def _parts(quantity: Decimal, step: Decimal, count: int) -> list[Decimal]:
    """Split a quantity into so many parts, the last of which is the largest. ``ValueError`` if too many."""
    share = quantity / count // step * step if count > 0 else Decimal(0)
    if not share:
        raise ValueError(f"{quantity} cannot be filled in {count} parts")
    return [share] * (count - 1) + [quantity - share * (count - 1)]


def _announce_conditional(
    exchange: SimulatedExchange, order: Order, status: events.AlgoStatus, trigger_price: Decimal
) -> None:
    now_ms = exchange.event_ms()
    exchange.announce(events.algo_update(order, status=status, trigger_price=trigger_price, time_ms=now_ms))


def _client_order_id(exchange: SimulatedExchange, cause: Cause, sender: Sender) -> str:
    serial = len(exchange.orders) + 1
    return {
        "trade": f"{_ID_PREFIXES[sender]}{serial}",
        "stop": f"stop_{serial}",
        "liquidation": f"autoclose-{exchange.exchange_ms()}{serial}",
        "adl": "adl_autoclose",
        "settlement": f"settlement_autoclose-{serial}",
    }[cause]


def change_balance(
    exchange: SimulatedExchange, reason: BalanceReason, amount: Decimal, *, symbol: str | None = None
) -> None:
    """Send an ``ACCOUNT_UPDATE`` that moves no position: ``FUNDING_FEE``, ``DEPOSIT``, …

    It lists no positions, as for crossed margin; with ``symbol`` it lists that symbol's unchanged legs, as
    for an isolated position's funding fee or margin transfer. ``ApiError`` -1121 for an unknown symbol.
    """
    positions = (
        []
        if symbol is None
        else [(exchange.position(symbol, leg), exchange.mark_price(symbol)) for leg in exchange.legs]
    )
    exchange.wallet_balance += amount
    now_ms = exchange.event_ms() if symbol is None else exchange.next_transaction_ms(exchange.host_ms())
    exchange.announce(
        events.account_update(
            reason=reason,
            event_time_ms=now_ms,
            transaction_time_ms=now_ms,
            wallet_balance=exchange.wallet_balance,
            balance_change=amount,
            positions=positions,
            funded_symbol=symbol if reason == "FUNDING_FEE" else None,
        )
    )


def set_leverage(exchange: SimulatedExchange, symbol: str, leverage: int) -> None:
    """Change a symbol's leverage and announce it with ``ACCOUNT_CONFIG_UPDATE``."""
    exchange.symbol(symbol)
    exchange.leverages[symbol] = leverage
    exchange.version += 1
    exchange.announce(events.leverage_changed(symbol, leverage, time_ms=exchange.event_ms()))


def send_frame(exchange: SimulatedExchange, frame: bytes, event_type: str = "") -> None:
    """Put any bytes on the private streams: an unknown event, or something that is no JSON at all."""
    exchange.announce_event(UserEvent(event_type=event_type, frame=frame))
