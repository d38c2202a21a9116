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
from simulator.orders import MarketOrder, Order

Cause = Literal["trade", "stop", "liquidation", "adl", "settlement"]
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
) -> Order | None:
    """Change a position by ``delta``, or to ``target``, as another party's order would.

    ``cause`` decides the client order id (``autoclose-…``, ``adl_autoclose``, ``settlement_autoclose-…``, a
    person's or a stop order's). With ``announced=False`` no event is sent: a lost event, so that only REST
    shows the change. Returns the order, or nothing when there is nothing to change. ``ValueError`` unless
    exactly one of ``delta`` and ``target`` is given; ``ApiError`` -1121 for an unknown symbol.
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
    if (leg == "LONG" and after < 0) or (leg == "SHORT" and after > 0):
        raise ValueError(f"{leg} cannot become {after}")
    request = MarketOrder(
        symbol=symbol,
        side="BUY" if change > 0 else "SELL",
        quantity=abs(change),
        position_side=leg,
        reduce_only=cause in ("liquidation", "adl", "settlement"),
        client_order_id=_client_order_id(exchange, cause),
    )
    order = exchange.accept_order(
        request, request.quantity, order_type=_ORDER_TYPES.get(cause, "MARKET"), announced=announced
    )
    price = exchange.mark_price(symbol) if price is None else price
    is_conditional = announced and cause == "stop"
    if is_conditional:
        _announce_conditional(exchange, order, "TRIGGERED", price)
    exchange.fill(
        order,
        request.quantity,
        price,
        execution_type="CALCULATED" if cause in _CALCULATED else "TRADE",
        announced=announced,
    )
    if is_conditional:
        _announce_conditional(exchange, order, "FINISHED", price)
    return order


def _announce_conditional(
    exchange: SimulatedExchange, order: Order, status: events.AlgoStatus, trigger_price: Decimal
) -> None:
    now_ms = exchange.event_ms()
    exchange.announce(events.algo_update(order, status=status, trigger_price=trigger_price, time_ms=now_ms))


def _client_order_id(exchange: SimulatedExchange, cause: Cause) -> str:
    serial = len(exchange.orders) + 1
    return {
        "trade": f"web_{serial}",
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
