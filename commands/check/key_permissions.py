"""Check of an API key's permissions: this service needs reading alone, its executor futures too."""

from __future__ import annotations

from collections.abc import Iterator

from commands.check.findings import Finding, failed, ok, warning
from exchange.account import KeyPermissions

_PAGE = "on Binance's API management page"


def permission_findings(
    name: str, permissions: KeyPermissions, *, sends_orders: bool = False
) -> Iterator[Finding]:
    """Yield a finding for each permission that is missing or superfluous; else one that passed.

    `sends_orders`: with an executor that is on.
    """
    findings = [*_judged(name, permissions, sends_orders=sends_orders)]
    bound = "bound to addresses" if permissions.ip_restrict else "not bound to addresses"
    needed = "reading, futures" if sends_orders else "reading"
    yield from findings or [ok(name, f"{needed} and nothing else, {bound}")]


def _judged(name: str, permissions: KeyPermissions, *, sends_orders: bool) -> Iterator[Finding]:
    if permissions.enable_reading is False:
        yield failed(name, "the key may not read", f"switch 'Enable Reading' on {_PAGE}")
    if sends_orders and permissions.enable_futures is False:
        yield failed(
            name,
            "the key may not trade futures: every order would be refused",
            f"switch 'Enable Futures' on {_PAGE}",
        )
    if permissions.enable_withdrawals:
        yield failed(
            name,
            "the key may withdraw: with a stolen key the account can be emptied",
            f"switch 'Enable Withdrawals' off {_PAGE}: this service withdraws nothing",
        )
    too_much = [
        what
        for what, enabled in (
            ("trade futures", permissions.enable_futures and not sends_orders),
            ("trade spot and margin", permissions.enable_spot_and_margin_trading),
            ("trade portfolio margin", permissions.enable_portfolio_margin_trading),
            (
                "transfer between accounts",
                permissions.permits_universal_transfer or permissions.enable_internal_transfer,
            ),
        )
        if enabled
    ]
    does, needed = "sends no orders", "reading"
    if sends_orders:
        does, needed = "sends futures orders alone", "reading and futures"
    if too_much:
        yield warning(
            name,
            f"the key may also {', '.join(too_much)}; this service {does}",
            f"give this service a key of its own with {needed} alone, {_PAGE}",
        )
    if permissions.ip_restrict is False:
        yield warning(name, "the key can be used from any address", f"bind it to this host's address {_PAGE}")
