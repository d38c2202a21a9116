"""Answers about the account: balances, configuration, leverage, position mode, the key's rights.

Source: USDⓈ-M Futures, "Account Information V3", "Futures Account Balance V3", "Futures Account
Configuration", "Symbol Configuration", "Change Initial Leverage", "Change Position Mode"; Wallet, "Get API
Key Permission".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from simulator import errors
from simulator.exchange import SimulatedExchange
from simulator.external_events import set_leverage
from simulator.history import FLAT
from simulator.margin import MAINTENANCE_MARGIN_RATE, Margin, check_leverage, margin_of
from simulator.parameters import Parameters, boolean, integer, required
from simulator.positions import Position
from simulator.symbols import plain

_HIGHEST_LEVERAGE = 125
_ASSET = "USDT"
_encode = msgspec.json.encode


def account_v3(exchange: SimulatedExchange, _: Parameters) -> bytes:
    """Return totals, the one asset, and the positions that are not flat."""
    margin = margin_of(exchange)
    held = exchange.open_positions()
    updated_ms = max((position.update_time_ms for position in held), default=0)
    return _encode(
        {
            "totalInitialMargin": _text(margin.initial),
            "totalMaintMargin": _text(margin.maintenance),
            "totalWalletBalance": _text(margin.wallet),
            "totalUnrealizedProfit": _text(margin.unrealized),
            "totalMarginBalance": _text(margin.balance),
            "totalPositionInitialMargin": _text(margin.position_initial),
            "totalOpenOrderInitialMargin": _text(margin.open_order_initial),
            "totalCrossWalletBalance": _text(margin.wallet),
            "totalCrossUnPnl": _text(margin.unrealized),
            "availableBalance": _text(margin.available),
            "maxWithdrawAmount": _text(margin.available),
            "assets": [_asset(margin, updated_ms)],
            "positions": [_position(exchange, position) for position in held],
        }
    )


def balance_v3(exchange: SimulatedExchange, _: Parameters) -> bytes:
    margin = margin_of(exchange)
    return _encode(
        [
            {
                "accountAlias": "SgsR",
                "asset": _ASSET,
                "balance": _text(margin.wallet),
                "crossWalletBalance": _text(margin.wallet),
                "crossUnPnl": _text(margin.unrealized),
                "availableBalance": _text(margin.available),
                "maxWithdrawAmount": _text(margin.available),
                "marginAvailable": True,
                "updateTime": exchange.exchange_ms(),
            }
        ]
    )


def _asset(margin: Margin, updated_ms: int) -> dict[str, Any]:
    return {
        "asset": _ASSET,
        "walletBalance": _text(margin.wallet),
        "unrealizedProfit": _text(margin.unrealized),
        "marginBalance": _text(margin.balance),
        "maintMargin": _text(margin.maintenance),
        "initialMargin": _text(margin.initial),
        "positionInitialMargin": _text(margin.position_initial),
        "openOrderInitialMargin": _text(margin.open_order_initial),
        "crossWalletBalance": _text(margin.wallet),
        "crossUnPnl": _text(margin.unrealized),
        "availableBalance": _text(margin.available),
        "maxWithdrawAmount": _text(margin.available),
        "updateTime": updated_ms,
    }


def _position(exchange: SimulatedExchange, position: Position) -> dict[str, Any]:
    symbol = position.symbol
    mark_price = exchange.mark_price(symbol.name)
    notional = position.amount * mark_price
    return {
        "symbol": symbol.name,
        "positionSide": position.position_side,
        "positionAmt": symbol.quantity_text(position.amount),
        "unrealizedProfit": _text(position.unrealized_profit(mark_price)),
        "isolatedMargin": _text(FLAT),
        "notional": _text(notional),
        "isolatedWallet": "0",
        "initialMargin": _text(abs(notional) / exchange.leverage(symbol.name)),
        "maintMargin": _text(abs(notional) * MAINTENANCE_MARGIN_RATE),
        "updateTime": position.update_time_ms,
    }


def _text(amount: Decimal) -> str:
    return plain(amount, 8)


def api_restrictions(exchange: SimulatedExchange, _: Parameters) -> bytes:
    rights = msgspec.to_builtins(exchange.key_rights)
    if exchange.portfolio_margin:
        rights["enablePortfolioMarginTrading"] = True
    return _encode(rights)


def symbol_config(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    named = parameters.get("symbol") or None
    names = list(exchange.listing.symbols) if named is None else [exchange.symbol(named).name]
    return _encode(
        [
            {
                "symbol": name,
                "marginType": "CROSSED",
                "isAutoAddMargin": False,
                "leverage": exchange.leverage(name),
                "maxNotionalValue": plain(exchange.max_notional(name)),
            }
            for name in names
        ]
    )


def account_config(exchange: SimulatedExchange, _: Parameters) -> bytes:
    return _encode(
        {
            "feeTier": 0,
            "canTrade": exchange.can_trade,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": exchange.hedge_mode,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        }
    )


def position_mode(exchange: SimulatedExchange, _: Parameters) -> bytes:
    return _encode({"dualSidePosition": exchange.hedge_mode})


def change_position_mode(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    required(parameters, "dualSidePosition")
    exchange.set_hedge_mode(boolean(parameters, "dualSidePosition"))
    return _encode({"code": 200, "msg": "success"})


def change_leverage(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Change a symbol's leverage; ``ApiError`` -4028 in both of its wordings, -2028 without the margin."""
    symbol, leverage = required(parameters, "symbol"), integer(parameters, "leverage")
    if not 1 <= leverage <= _HIGHEST_LEVERAGE:
        raise errors.invalid_leverage(leverage)
    exchange.symbol(symbol)
    if exchange.faults.refuse_same_leverage and exchange.leverage(symbol) == leverage:
        raise errors.leverage_exists(leverage, symbol)
    if exchange.faults.margin_checks:
        check_leverage(exchange, symbol, leverage)
    set_leverage(exchange, symbol, leverage)
    limit = plain(exchange.max_notional(symbol))
    return _encode({"symbol": symbol, "leverage": leverage, "maxNotionalValue": limit})
