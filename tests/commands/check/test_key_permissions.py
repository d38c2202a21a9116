"""Permissions of the API key, with and without an executor."""

from __future__ import annotations

import pytest

from commands.check.findings import Verdict
from commands.check.key_permissions import permission_findings
from exchange.account import KeyPermissions

READS = KeyPermissions(ip_restrict=True, enable_reading=True, enable_futures=False, enable_withdrawals=False)
TRADES = KeyPermissions(ip_restrict=True, enable_reading=True, enable_futures=True, enable_withdrawals=False)
WITHDRAWS = KeyPermissions(
    ip_restrict=True, enable_reading=True, enable_futures=True, enable_withdrawals=True
)


@pytest.mark.parametrize(
    ("permissions", "sends_orders", "found"),
    [
        (READS, False, [(Verdict.OK, "reading and nothing else, bound to addresses")]),
        (TRADES, False, [(Verdict.WARNING, "the key may also trade futures; this service sends no orders")]),
        (TRADES, True, [(Verdict.OK, "reading, futures and nothing else, bound to addresses")]),
        (
            READS, True,
            [(Verdict.FAILED, "the key may not trade futures: every order would be refused")],
        ),
        (
            WITHDRAWS, True,
            [(Verdict.FAILED, "the key may withdraw: with a stolen key the account can be emptied")],
        ),
    ],
)  # fmt: skip
def test_an_executor_needs_a_key_that_trades_futures_and_none_may_withdraw(
    permissions: KeyPermissions, sends_orders: bool, found: list[tuple[Verdict, str]]
) -> None:
    findings = permission_findings("key", permissions, sends_orders=sends_orders)
    assert [(each.verdict, each.detail) for each in findings] == found
