"""What an account and an API key may do, as Binance tells it.

Sources: USDⓈ-M Futures, "Futures Account Configuration"; Wallet, "Get API Key Permission". What the
exchange leaves out is None.
"""

from __future__ import annotations

import msgspec


class AccountConfig(msgspec.Struct, frozen=True, rename="camel"):
    """The futures account. `can_trade` is the account's right, not the key's."""

    can_trade: bool | None = None
    dual_side_position: bool | None = None


class KeyPermissions(msgspec.Struct, frozen=True, rename="camel"):
    """The API key. `enable_futures` is the right to trade futures; reading them needs `enable_reading`."""

    ip_restrict: bool | None = None
    enable_reading: bool | None = None
    enable_futures: bool | None = None
    enable_withdrawals: bool | None = None
    enable_internal_transfer: bool | None = None
    permits_universal_transfer: bool | None = None
    enable_spot_and_margin_trading: bool | None = None
    enable_portfolio_margin_trading: bool | None = None


ACCOUNT_CONFIG = msgspec.json.Decoder(AccountConfig)
KEY_PERMISSIONS = msgspec.json.Decoder(KeyPermissions)
