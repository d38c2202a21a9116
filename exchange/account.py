"""Rights of an account and of an API key, and the account's totals.

Sources: USDⓈ-M Futures, "Futures Account Configuration" and "Account Information V3"; Wallet, "Get API Key
Permission". A right that the exchange leaves out is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from exchange.exact import finite


class AccountTotals(msgspec.Struct, frozen=True):
    """Equity of the account, unrealised profit of its positions in USDT, and each asset's wallet balance."""

    margin_balance: Decimal
    unrealized_profit: Decimal
    wallets: Mapping[str, Decimal]


class _Asset(msgspec.Struct, frozen=True, rename="camel"):
    asset: str
    wallet_balance: Decimal
    unrealized_profit: Decimal


class AccountBody(msgspec.Struct, frozen=True, rename="camel"):
    total_margin_balance: Decimal
    assets: tuple[_Asset, ...] = ()

    def totals(self) -> AccountTotals:
        """Return the totals. Raises ValueError for a number of an impossible size."""
        return AccountTotals(
            finite(self.total_margin_balance),
            sum((finite(each.unrealized_profit) for each in self.assets if each.asset == "USDT"), Decimal(0)),
            {each.asset: finite(each.wallet_balance) for each in self.assets},
        )


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
ACCOUNT = msgspec.json.Decoder(AccountBody)
KEY_PERMISSIONS = msgspec.json.Decoder(KeyPermissions)
