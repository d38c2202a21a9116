"""The account's one listen key: created, extended, expired, closed.

Source: USDⓈ-M Futures, "User Data Streams": valid for 60 minutes, POST returns the live key and extends it,
PUT extends it, DELETE closes it.
"""

from __future__ import annotations

from random import Random
from string import ascii_letters, digits

from simulator import errors

VALIDITY_MS = 60 * 60 * 1000
_LENGTH = 64


class ListenKeys:
    """At most one key is live. Times are this host's wall clock in epoch milliseconds."""

    def __init__(self, random: Random, *, validity_ms: int = VALIDITY_MS) -> None:
        self.validity_ms = validity_ms
        self._random = random
        self._live: str | None = None
        self._expires_ms = 0

    def is_live(self, key: str) -> bool:
        return key == self._live

    @property
    def live(self) -> str | None:
        return self._live

    def create_or_extend(self, now_ms: int) -> str:
        if self._live is None:
            self._live = "".join(self._random.choices(ascii_letters + digits, k=_LENGTH))
        self._expires_ms = now_ms + self.validity_ms
        return self._live

    def extend(self, now_ms: int) -> str:
        """Extend the live key and return it; ``ApiError`` -1125 without one."""
        if self._live is None:
            raise errors.unknown_listen_key()
        self._expires_ms = now_ms + self.validity_ms
        return self._live

    def close(self) -> str | None:
        """Invalidate the live key and return it, if there is one."""
        closed, self._live = self._live, None
        return closed

    def expire_due(self, now_ms: int) -> str | None:
        """Invalidate and return the live key if its time is over."""
        return self.close() if self._live is not None and now_ms >= self._expires_ms else None
