"""Texts on the exchange's present refusals, for `/readyz`, `/status` and the log."""

from __future__ import annotations

from datetime import UTC, datetime

from brain.moment import Moment
from exchange.endpoints import Endpoint
from exchange.errors import ExchangeError, ExchangeRejected, ExchangeUnavailable, TemporarilyRefused
from exchange.key_refusal import KEY_REFUSED, KeyInquiry

_WRONG_SIGNATURE = {
    -1021: "requests arrive outside their window of 5 s (-1021): the network to the exchange is too slow",
    -1022: "the signature is refused (-1022): the API secret does not belong to the API key",
    -2014: "the API key is refused (-2014): this is no API key of Binance's",
}


class Troubles:
    """Latest failure of each endpoint, until that endpoint answers."""

    def __init__(self, key: KeyInquiry) -> None:
        self._key = key
        self._by_endpoint: dict[str, str] = {}
        self._key_refused_by: set[str] = set()

    def failed(self, endpoint: Endpoint, error: ExchangeError) -> None:
        """Record a failed request; errors of the request itself (an unknown symbol) are ignored."""
        if isinstance(error, ExchangeRejected) and error.code == KEY_REFUSED:
            self._key_refused_by.add(endpoint.key)
            return
        words = _words(endpoint, error)
        if words is not None:
            self._by_endpoint[endpoint.key] = words

    def answered(self, endpoint: Endpoint) -> None:
        """Record an answer of the endpoint."""
        self._by_endpoint.pop(endpoint.key, None)
        self._key_refused_by.discard(endpoint.key)

    def words(self) -> list[str]:
        """Return each failure once."""
        key = [self._key.refusal.cause] if self._key_refused_by else []
        return [*key, *dict.fromkeys(self._by_endpoint.values())]


def until_utc(moment: Moment) -> str:
    """Return the end of a pause, such as `until 2026-11-28 18:00:00 UTC`."""
    return f"until {datetime.fromtimestamp(moment.wall_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _words(endpoint: Endpoint, error: ExchangeError) -> str | None:
    if isinstance(error, ExchangeRejected):
        return _WRONG_SIGNATURE.get(error.code)
    if isinstance(error, TemporarilyRefused):
        return str(error)
    if isinstance(error, ExchangeUnavailable):
        # Most of these begin with the endpoint's name.
        text = str(error)
        return text if text.startswith(endpoint.name) else f"{endpoint.name}: {text}"
    return None
