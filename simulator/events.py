"""The user-data events, with Binance's field names and shapes.

Source: USDⓈ-M Futures, "User Data Streams". Amounts and prices are text, times epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from simulator.history import FLAT
from simulator.orders import Fill, Order
from simulator.positions import Position
from simulator.symbols import plain

Payload = dict[str, Any]
AlgoStatus = Literal["TRIGGERED", "FINISHED"]


class UserEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One frame for the private streams. ``listen_key`` names the only stream it is for, if there is one."""

    event_type: str
    frame: bytes
    listen_key: str | None = None


def user_event(payload: Payload, *, listen_key: str | None = None) -> UserEvent:
    return UserEvent(
        event_type=str(payload.get("e", "")), frame=msgspec.json.encode(payload), listen_key=listen_key
    )


def order_trade_update(
    order: Order,
    *,
    execution_type: str,
    event_time_ms: int,
    fill: Fill | None = None,
    expiry_reason: str = "0",
) -> Payload:
    text = order.symbol.quantity_text
    transaction_time_ms = event_time_ms if fill is None else fill.transaction_time_ms
    return {
        "e": "ORDER_TRADE_UPDATE",
        "E": event_time_ms,
        "T": transaction_time_ms,
        "o": {
            "s": order.symbol.name,
            "c": order.client_order_id,
            "S": order.side,
            "o": order.order_type,
            "f": order.time_in_force,
            "q": text(order.quantity),
            "p": plain(order.price),
            "ap": plain(order.average_price, 8) if order.executed else "0",
            "sp": "0",
            "x": execution_type,
            "X": order.status,
            "i": order.order_id,
            "l": text(fill.quantity if fill else FLAT),
            "z": text(order.executed),
            "L": plain(fill.price) if fill else "0",
            "N": order.symbol.quote_asset,
            "n": plain(fill.commission if fill else FLAT, 8),
            "T": transaction_time_ms,
            "t": fill.trade_id if fill else 0,
            "b": "0",
            "a": "0",
            "m": fill.is_maker if fill else False,
            "R": order.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": order.order_type,
            "ps": order.position_side,
            "cp": False,
            "rp": plain(fill.realized_profit if fill else FLAT, 8),
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": order.self_trade_prevention,
            "pm": "NONE",
            "gtd": 0,
            "er": expiry_reason,
        },
    }


def trade_lite(order: Order, fill: Fill, *, event_time_ms: int) -> Payload:
    return {
        "e": "TRADE_LITE",
        "E": event_time_ms,
        "T": fill.transaction_time_ms,
        "s": order.symbol.name,
        "q": order.symbol.quantity_text(order.quantity),
        "p": plain(order.price),
        "m": fill.is_maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": plain(fill.price),
        "l": order.symbol.quantity_text(fill.quantity),
        "t": fill.trade_id,
        "i": order.order_id,
    }


def account_update(
    *,
    reason: str,
    event_time_ms: int,
    transaction_time_ms: int,
    wallet_balance: Decimal,
    balance_change: Decimal = FLAT,
    positions: Sequence[tuple[Position, Decimal]] = (),
    asset: str = "USDT",
    funded_symbol: str | None = None,
) -> Payload:
    """Build the event. ``positions`` are the changed legs, each with its mark price, often none.

    ``funded_symbol`` is the one that a ``FUNDING_FEE`` was for.
    """
    balance = {
        "a": asset,
        "wb": plain(wallet_balance, 8),
        "cw": plain(wallet_balance, 8),
        "bc": plain(balance_change, 8),
    }
    return {
        "e": "ACCOUNT_UPDATE",
        "E": event_time_ms,
        "T": transaction_time_ms,
        "a": {
            "m": reason,
            "B": [balance],
            "P": [_changed_position(position, mark_price) for position, mark_price in positions],
            **({} if funded_symbol is None else {"S": funded_symbol}),
        },
    }


def _changed_position(position: Position, mark_price: Decimal) -> Payload:
    return {
        "s": position.symbol.name,
        "pa": position.symbol.quantity_text(position.amount),
        "ep": plain(position.entry_price) if position.amount else "0",
        "bep": plain(position.entry_price) if position.amount else "0",
        "cr": plain(position.realized_profit, 8),
        "up": plain(position.unrealized_profit(mark_price), 8),
        "mt": "cross",
        "iw": "0",
        "ps": position.position_side,
    }


def algo_update(order: Order, *, status: AlgoStatus, trigger_price: Decimal, time_ms: int) -> Payload:
    """Build the event of a conditional order that has become ``order`` in the matching engine."""
    return {
        "e": "ALGO_UPDATE",
        "E": time_ms,
        "T": time_ms,
        "o": {
            "caid": order.client_order_id,
            "aid": order.order_id,
            "at": "CONDITIONAL",
            "o": order.order_type,
            "s": order.symbol.name,
            "S": order.side,
            "ps": order.position_side,
            "f": "GTC",
            "q": order.symbol.quantity_text(order.quantity),
            "X": status,
            "ai": str(order.order_id),
            "ap": plain(order.average_price, 8),
            "aq": order.symbol.quantity_text(order.executed),
            "act": "MARKET",
            "tp": plain(trigger_price),
            "p": "0",
            "V": "NONE",
            "wt": "CONTRACT_PRICE",
            "pm": "NONE",
            "cp": False,
            "pP": False,
            "R": order.reduce_only,
            "tt": time_ms,
            "gtd": 0,
            "rm": "",
        },
    }


def leverage_changed(symbol: str, leverage: int, *, time_ms: int) -> Payload:
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": time_ms, "T": time_ms, "ac": {"s": symbol, "l": leverage}}


def listen_key_expired(listen_key: str, *, event_time_ms: int, time_as_text: bool) -> Payload:
    """Build the event; ``E`` is text in the documentation and a number in the official SDK."""
    return {
        "e": "listenKeyExpired",
        "E": str(event_time_ms) if time_as_text else event_time_ms,
        "listenKey": listen_key,
    }
