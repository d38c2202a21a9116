"""Equity of the account between reads, its peak, and the day's first.

A read of the account is the truth. Between reads, changes of the wallet and of the unrealised profit by mark
prices are added, both against what the read shows of them. They arrive one after the other, so peak, the
day's first and an auto-disarm rest on reads alone.
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
        "TRANSFER",
    }
)
#: Reasons of changes from one asset of the account into another.
SWAPS = frozenset({"COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW", "AUTO_EXCHANGE"})
#: The asset that counts one to one; others are valued at the next read.
ASSET = "USDT"


class EquityState(msgspec.Struct, frozen=True):
    """State that survives a restart: amounts in USDT, times in epoch milliseconds of Redis's clock."""

    equity: Decimal
    peak: Decimal
    ts_ms: int
    peak_ts_ms: int
    day: str
    day_open: Decimal


class EquityBook:
    """Equity of one account. `transfers` counts deposits, withdrawals, transfers and swaps so far."""

    def __init__(self, state: EquityState | None = None) -> None:
        """`state`: as another process has stored it; what was transferred since then is not known."""
        self._state = state
        self._before_read: EquityState | None = None
        #: Equity that was followed until the last read, which may have shown a transfer before its event.
        self._followed = ZERO if state is None else state.equity
        self._wallet: Decimal | None = None
        self._wallets: Mapping[str, Decimal] = {}
        self._profit = ZERO
        #: Since the last read: changes of the wallet, those and changes of the profit, and transfers.
        self._moved = self._between = self._transferred = ZERO
        #: The next read shows the value of assets that were swapped, or transferred in another asset.
        self._revalues = False
        #: No read of this process yet, and the last read was its first: it may show what no event did.
        self._recalled, self._just_recalled = state is not None, False
        self._missed, self._missed_day = ZERO, ""
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
        unrealised: Decimal,
        at_ms: int,
        transfers: int,
        overtaken: bool = False,
    ) -> bool:
        """Take over a read of the account; False, with nothing changed, where it has to be repeated.

        `unrealised`: the profit of all positions in it. `transfers`: the count before the read was sent; one
        that arrived since may be in it or not. `overtaken`: a balance that has been applied is newer.
        """
        if transfers != self.transfers:
            return False
        day = utc_day(at_ms)
        if self._revalues:
            self._revalues = False
            self._shift(margin_balance - self._now())
        known = self._before_read = self._state
        self._followed = self._now()
        wallet = wallets.get(ASSET, ZERO)
        if self._wallet is None or not overtaken:
            self._wallet = wallet
        self._moved = self._wallet - wallet
        self._wallets, self._profit = wallets, unrealised
        self._between = self._transferred = ZERO
        if known is None:
            self._state = EquityState(margin_balance, margin_balance, at_ms, at_ms, day, margin_balance)
            return True
        self._recalled, self._just_recalled = False, self._recalled
        if self._just_recalled:
            self._missed, self._missed_day = max(known.equity - margin_balance, ZERO), day
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
        transferred = reason in TRANSFERS and bool(change)
        swapped = bool(change) and (reason in SWAPS or (transferred and asset != ASSET))
        if swapped or transferred:
            self.transfers += 1
        if swapped:
            self._swapped(asset, balance)
        if asset != ASSET:
            return
        before, shown = self._wallet, False
        if swapped:
            # Its value is read, and no gain or loss until then.
            self._wallet = balance
            return
        if before is None:
            before = balance - change if transferred else balance
        if transferred:
            shown = self._shows(before, balance, change)
            self._transfer(change, shown=shown)
        if not shown:
            self._moved += balance - before
            self._wallet = balance
            if transferred:
                self._between += change
                self._transferred += change

    def marked(self, unrealised: Decimal | None) -> None:
        """Take over changes of the wallet, and the unrealised profit of all positions by our mark prices.

        None while the profit is not known, or a balance of the same event is still to be applied.
        """
        if unrealised is not None and self._was_read:
            self._between = self._moved + unrealised - self._profit

    def view(self, now_ms: int) -> EquityView | None:
        """Return the equity at this moment; None before the first read."""
        state = self._state
        if state is None:
            return None
        equity, today = self._now(), utc_day(now_ms)
        return EquityView(
            equity=equity,
            peak=state.peak,
            day_open=state.day_open if state.day == today else equity,
            age_sec=max(0.0, (now_ms - state.ts_ms) / 1000),
            read=state.equity + self._transferred,
            missed=self._missed,
            missed_today=self._missed if today == self._missed_day else ZERO,
        )

    def _now(self) -> Decimal:
        return (ZERO if self._state is None else self._state.equity) + self._between

    def _shows(self, before: Decimal, balance: Decimal, change: Decimal) -> bool:
        """Return True if the last read has a transfer in it already, whose event arrives behind it."""
        if self._wallet is None or not self._was_read or before == balance - change:
            return False
        read = self._wallets.get(ASSET, ZERO)
        return abs(read - balance) < abs(read - (balance - change))

    @property
    def _was_read(self) -> bool:
        """True once this process has read the account."""
        return self._state is not None and not self._recalled

    def _swapped(self, asset: str, balance: Decimal) -> None:
        """Note a swap, or a transfer of another asset, whose value the last read shows, or the next one."""
        if self._state is None or not self._was_read:
            return
        if self._wallets.get(asset, ZERO) == balance:
            self._transfer(self._state.equity - self._followed, shown=True)
            self._followed = self._state.equity
        else:
            self._revalues = True

    def _shift(self, change: Decimal) -> None:
        """Move the equity with peak and day: assets have another value than was followed."""
        self._transfer(change, shown=False)
        self._between += change

    def _transfer(self, change: Decimal, *, shown: bool) -> None:
        """Move the peak and the day's first. `shown`: the last read has the transfer in it already."""
        state, before = self._state, self._before_read
        if state is None:
            return
        peak, day_open = state.peak + change, state.day_open + change
        if shown and before is None:
            return
        if shown and before is not None:
            if self._just_recalled:
                self._missed = max(self._missed + change, ZERO)
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
