"""What an API key may do, beside what this service needs: reading, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from commands.check.findings import Finding, failed, ok, warning
from exchange.account import KeyPermissions

_PAGE = "on Binance's API management page"


def permission_findings(name: str, permissions: KeyPermissions) -> Iterator[Finding]:
    """A line each for what is missing and for what is too much; else one that all is well."""
    findings = [*_judged(name, permissions)]
    bound = "bound to addresses" if permissions.ip_restrict else "not bound to addresses"
    yield from findings or [ok(name, f"reading and nothing else, {bound}")]


def _judged(name: str, permissions: KeyPermissions) -> Iterator[Finding]:
    if permissions.enable_reading is False:
        yield failed(name, "the key may not read", f"switch 'Enable Reading' on {_PAGE}")
    if permissions.enable_withdrawals:
        yield failed(
            name,
            "the key may withdraw: whoever gets hold of it empties the account",
            f"switch 'Enable Withdrawals' off {_PAGE}: this service only reads",
        )
    too_much = [
        what
        for what, enabled in (
            ("trade futures", permissions.enable_futures),
            ("trade spot and margin", permissions.enable_spot_and_margin_trading),
            ("trade portfolio margin", permissions.enable_portfolio_margin_trading),
            (
                "transfer between accounts",
                permissions.permits_universal_transfer or permissions.enable_internal_transfer,
            ),
        )
        if enabled
    ]
    if too_much:
        yield warning(
            name,
            f"the key may also {', '.join(too_much)}; this service sends no orders",
            f"give this service a key of its own with reading alone, {_PAGE}",
        )
    if permissions.ip_restrict is False:
        yield warning(name, "the key can be used from any address", f"bind it to this host's address {_PAGE}")
