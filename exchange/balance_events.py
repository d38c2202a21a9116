"""Wallet balances in the events of the private stream.

Source: Binance USDⓈ-M Futures, "User Data Streams", ACCOUNT_UPDATE.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.json_text import read_json
from brain.numbers import ZERO
from channels import BalanceChange, BalancesObserved
from exchange.errors import UnreadableEvent
from exchange.exact import finite
from exchange.protocol import Frame
from exchange.user_data import unwrap


class _Balance(msgspec.Struct, frozen=True):
    a: str
    wb: Decimal
    bc: Decimal = ZERO


class _BalanceChange(msgspec.Struct, frozen=True):
    m: str = ""
    B: tuple[_Balance, ...] = ()


class _BalanceUpdate(msgspec.Struct, frozen=True):
    a: _BalanceChange


_BALANCE_UPDATE = msgspec.json.Decoder(_BalanceUpdate)


def read_balances(frame: Frame) -> BalancesObserved | None:
    """Return the wallet balances of an `ACCOUNT_UPDATE`.

    None for any other event, for one without balances, and for one that cannot be read: the next read of the
    account shows them.
    """
    try:
        event_type, raw = unwrap(frame.raw)
        if event_type != "ACCOUNT_UPDATE":
            return None
        account = read_json(_BALANCE_UPDATE, raw).a
        changes = tuple(BalanceChange(each.a, finite(each.wb), finite(each.bc)) for each in account.B)
    except (UnreadableEvent, msgspec.DecodeError, ValueError):
        return None
    return BalancesObserved(account.m, changes, frame.received) if changes else None
