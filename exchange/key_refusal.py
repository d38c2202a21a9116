"""Causes of -2015, by which Binance refuses an API key without a reason.

Sources: USDⓈ-M Futures, "Error Codes" (-2015: "Invalid API-key, IP, or permissions for action"); Wallet, "Get
API Key Permission". The futures API answers so to every signed request of a portfolio margin account.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

import trio

from clock import Clock
from exchange.account import KeyPermissions
from exchange.errors import ExchangeError

KEY_REFUSED: Final = -2015
_BETWEEN_QUESTIONS_SEC = 600.0
#: Longest wait of the refused request for the wallet's answer (seconds).
_PATIENCE_SEC = 3.0
_REFUSED = "the API key is refused (-2015)"


class KeyRefusal(NamedTuple):
    """Cause, as a clause that can follow "because", and the operator's remedy."""

    cause: str
    fix: str


def key_refusal(permissions: KeyPermissions | None) -> KeyRefusal:
    """Return the cause of -2015 from the key's permissions; None: the wallet has not answered."""
    if permissions is None:
        return KeyRefusal(
            f"{_REFUSED}: it is of another exchange, may not read, is bound to other addresses, or belongs "
            "to a portfolio margin account, which is not supported",
            "is it a key of this exchange (testnet or real, see BINANCE_TESTNET)? does it allow reading? if "
            "it is bound to addresses, is this host's among them? portfolio margin is not supported",
        )
    if permissions.enable_portfolio_margin_trading:
        return KeyRefusal(
            f"{_REFUSED}: it belongs to a portfolio margin account, which is not supported",
            "use a key of an account without portfolio margin: Binance serves the positions of this one by "
            "another API",
        )
    if permissions.enable_reading is False:
        return KeyRefusal(
            f"{_REFUSED}: it may not read", "switch 'Enable Reading' on, on Binance's API management page"
        )
    return KeyRefusal(
        f"{_REFUSED} for futures, and the wallet accepts it",
        "does the account have futures? if it does, switch 'Enable Futures' on for the key",
    )


class KeyInquiry:
    """Inquiry at the wallet for the cause of -2015: at the first refusal, then at most once in 10 minutes."""

    def __init__(self, ask_wallet: Callable[[], Awaitable[KeyPermissions]] | None, clock: Clock) -> None:
        """Take `ask_wallet`, which may raise ExchangeError; None where there is no wallet host."""
        self._ask_wallet = ask_wallet
        self._clock = clock
        self._asked_at_sec = float("-inf")
        self._permissions: KeyPermissions | None = None

    @property
    def refusal(self) -> KeyRefusal:
        """Cause as far as it is known."""
        return key_refusal(self._permissions)

    async def ask_if_due(self) -> None:
        """Ask the wallet unless it was asked within 10 minutes; takes at most 3 s and raises nothing."""
        now_sec = self._clock.now().monotonic_sec
        if self._ask_wallet is None or now_sec - self._asked_at_sec < _BETWEEN_QUESTIONS_SEC:
            return
        self._asked_at_sec = now_sec
        self._permissions = None
        with trio.move_on_after(_PATIENCE_SEC), suppress(ExchangeError):
            self._permissions = await self._ask_wallet()
