"""Rights of an account and of an API key.

Sources: USDⓈ-M Futures, "Futures Account Configuration"; Wallet, "Get API Key Permission". A field that the
exchange leaves out is None.
"""

from __future__ import annotations

import msgspec


class AccountConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Rights of the futures account. `can_trade` is the account's right, not the key's."""

    can_trade: bool | None = None
    dual_side_position: bool | None = None


class KeyPermissions(msgspec.Struct, frozen=True, rename="camel"):
    """Rights of the API key. `enable_futures`: to trade futures; `enable_reading`: to read."""

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
