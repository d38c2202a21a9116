"""Equity of the account between reads, its peak, and the day's first.

A read of the account is the truth. Between reads, changes of the wallet and of the unrealised profit by mark
prices are added. They arrive one after the other, so the peak and the day's first rest on reads alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from brain.governor.case import EquityView
from brain.governor.grants import epoch_sec, utc_day
from brain.numbers import ZERO, NotANumberError, parse_decimal, plain

#: Reasons (`m` of ACCOUNT_UPDATE) of changes that are neither gain nor loss.
#: Source: Binance USDⓈ-M Futures, "Event: Balance and Position Update".
TRANSFERS = frozenset(
    {
        "DEPOSIT",
        "WITHDRAW",
        "WITHDRAW_REJECT",
        "ADMIN_DEPOSIT",
        "ADMIN_WITHDRAW",
        "ASSET_TRANSFER",
        "COIN_SWAP_DEPOSIT",
        "COIN_SWAP_WITHDRAW",
        "TRANSFER",
    }
)
#: The asset that counts one to one; others are valued at the next read.
_ASSET = "USDT"


class EquityState(msgspec.Struct, frozen=True):
    """State that survives a restart: amounts in USDT, times in epoch milliseconds of Redis's clock."""

    equity: Decimal
    peak: Decimal
    ts_ms: int
    peak_ts_ms: int
    day: str
    day_open: Decimal


class EquityBook:
    """Equity of one account. `transfers` counts deposits, withdrawals and transfers so far."""

    def __init__(self, state: EquityState | None = None) -> None:
        self._state = state
        self._before_read: EquityState | None = None
        self._wallet: Decimal | None = None
        self._read_wallet: Decimal | None = None
        self._unrealised_at_read: Decimal | None = None
        self._moved = self._drifted = ZERO
        self.transfers = 0

    @property
    def state(self) -> EquityState | None:
        """The state to store; None before the first read."""
        return self._state

    def read(
        self,
        margin_balance: Decimal,
        wallets: Mapping[str, Decimal],
        *,
        unrealised: Decimal | None,
        at_ms: int,
        transfers: int,
    ) -> bool:
        """Take over a read of the account; False, with nothing changed, where it has to be repeated.

        `transfers`: the count before the read was sent; one that arrived since may be in it or not.
        `unrealised`: of all positions by our mark prices, None while unknown.
        """
        if transfers != self.transfers:
            return False
        known, day = self._state, utc_day(at_ms)
        self._before_read = known
        self._wallet = self._read_wallet = wallets.get(_ASSET)
        self._unrealised_at_read = unrealised
        self._moved = self._drifted = ZERO
        if known is None:
            self._state = EquityState(margin_balance, margin_balance, at_ms, at_ms, day, margin_balance)
            return True
        rises = margin_balance > known.peak
        self._state = EquityState(
            equity=margin_balance,
            peak=margin_balance if rises else known.peak,
            ts_ms=at_ms,
            peak_ts_ms=at_ms if rises else known.peak_ts_ms,
            day=day,
            day_open=known.day_open if known.day == day else margin_balance,
        )
        return True

    def wallet_changed(self, asset: str, balance: Decimal, change: Decimal, reason: str) -> None:
        """Apply one balance of ACCOUNT_UPDATE: `wb`, `bc`, and the event's reason `m`."""
        if asset != _ASSET:
            return
        shown = False
        if reason in TRANSFERS and change:
            self.transfers += 1
            shown = self._shows(balance, change)
            self._transferred(change, shown=shown)
        if not shown:
            if self._wallet is not None:
                self._moved += balance - self._wallet
            self._wallet = balance

    def marked(self, unrealised: Decimal | None) -> None:
        """Take over the unrealised profit of all positions by our mark prices; None while unknown."""
        if unrealised is None:
            return
        if self._unrealised_at_read is None:
            self._unrealised_at_read = unrealised
        self._drifted = unrealised - self._unrealised_at_read

    def view(self, now_ms: int) -> EquityView | None:
        """Return the equity at this moment; None before the first read."""
        state = self._state
        if state is None:
            return None
        equity = state.equity + self._moved + self._drifted
        day_open = state.day_open if state.day == utc_day(now_ms) else equity
        return EquityView(equity, state.peak, day_open, max(0.0, (now_ms - state.ts_ms) / 1000))

    def _shows(self, balance: Decimal, change: Decimal) -> bool:
        """Return True if the last read has a transfer in it already, whose event arrives behind it."""
        if self._wallet is None or self._read_wallet is None or self._wallet == balance - change:
            return False
        return abs(self._read_wallet - balance) < abs(self._read_wallet - (balance - change))

    def _transferred(self, change: Decimal, *, shown: bool) -> None:
        """Move the peak and the day's first. `shown`: the last read has the transfer in it already."""
        state, before = self._state, self._before_read
        if state is None:
            return
        peak, day_open = state.peak + change, state.day_open + change
        if shown and before is None:
            return
        if shown and before is not None:
            before = self._before_read = msgspec.structs.replace(before, peak=before.peak + change)
            peak = max(before.peak, state.equity)
            if before.day != state.day:
                day_open = state.day_open
        self._state = msgspec.structs.replace(state, peak=max(peak, ZERO), day_open=day_open)


def equity_fields(state: EquityState) -> dict[str, str]:
    """Return the fields of `governor:equity`. Times are in seconds."""
    return {
        "equity": plain(state.equity),
        "peak": plain(state.peak),
        "ts": plain(epoch_sec(state.ts_ms)),
        "peak_ts": plain(epoch_sec(state.peak_ts_ms)),
        "day": state.day,
        "day_open": plain(state.day_open),
    }


def read_equity(texts: Sequence[bytes | None]) -> tuple[EquityState | None, str]:
    """Read `equity peak ts peak_ts day day_open`, in this order; with the problem of unreadable ones."""
    if all(text is None for text in texts):
        return None, ""
    try:
        equity, peak, ts, peak_ts, day, day_open = ((text or b"").decode() for text in texts)
        return EquityState(
            equity=parse_decimal(equity),
            peak=parse_decimal(peak),
            ts_ms=int(parse_decimal(ts).scaleb(3)),
            peak_ts_ms=int(parse_decimal(peak_ts).scaleb(3)),
            day=day,
            day_open=parse_decimal(day_open),
        ), ""
    except (NotANumberError, ValueError) as error:
        return None, f"governor:equity: {error}"
