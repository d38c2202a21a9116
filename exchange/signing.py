"""Signed requests: HMAC-SHA256 over the query string.

Source: Binance USDⓈ-M Futures, "General Info", SIGNED endpoints.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlencode

#: How old a request may be when the exchange looks at it, by the exchange's clock.
RECEIVE_WINDOW_MS = 5000


class Signer:
    """Holds the secret, and shows it to nobody."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        self.headers = {"X-MBX-APIKEY": api_key}
        self._secret = api_secret.encode()

    def __repr__(self) -> str:
        return "Signer(…)"

    def signed_query(self, params: dict[str, str], timestamp_ms: int) -> str:
        """The query string of a signed request: `params`, the time (the exchange's clock), the signature."""
        query = urlencode({**params, "recvWindow": str(RECEIVE_WINDOW_MS), "timestamp": str(timestamp_ms)})
        return f"{query}&signature={self.signature(query)}"

    def signature(self, payload: str) -> str:
        """HMAC-SHA256 of `payload`, in hexadecimal digits."""
        return hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()
