"""Permissions of the API key.

Source: Wallet, "Get API Key Permission". The real one has a host of its own; here it is the same as for
futures. A key without the right for a request is refused like an unknown one (-2015), and so is every signed
futures request with ``enable_portfolio_margin_trading``, the mark of a portfolio margin account.
"""

from __future__ import annotations

import msgspec


class KeyRights(msgspec.Struct, rename="camel"):
    """The key's switches, in the order of the documentation's example. Plain and mutable, like ``Faults``."""

    ip_restrict: bool = False
    create_time: int = 1_698_645_219_000
    enable_reading: bool = True
    enable_withdrawals: bool = False
    enable_internal_transfer: bool = False
    enable_margin: bool = False
    enable_futures: bool = True
    permits_universal_transfer: bool = False
    enable_vanilla_options: bool = False
    enable_fix_api_trade: bool = False
    enable_fix_read_only: bool = False
    enable_spot_and_margin_trading: bool = False
    enable_portfolio_margin_trading: bool = False
