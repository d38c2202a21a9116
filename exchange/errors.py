"""Errors of the exchange, one class for each that callers handle differently.

No text of these errors contains an address with its query, a signature, a listen key or an API key.
"""

from __future__ import annotations

from brain.moment import Moment


class ExchangeError(Exception):
    """Request or stream of the exchange failed."""


class ExchangeUnavailable(ExchangeError):  # noqa: N818 - reads as what happened
    """No usable answer: timeout, no connection, 5xx, cut or unreadable body, broken stream.

    The request may or may not have taken effect. Retry later.
    """


class HandshakeRefused(ExchangeUnavailable):
    """WebSocket handshake was answered with an HTTP status other than 101."""


class ExchangeRejected(ExchangeError):  # noqa: N818 - reads as what happened
    """Error code of the exchange (-2015: key, address or permission is wrong).

    A retry gets the same answer. Codes: Binance USDⓈ-M Futures, "Error Codes".
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Binance error {code}: {message}")
        self.code = code
        self.message = message


class UnreadablePosition(ExchangeError):  # noqa: N818 - reads as what happened
    """Row of one symbol cannot be read; the other rows of the answer can."""


class ClockSkewed(ExchangeRejected):
    """-1021: the timestamp lies outside the exchange's receive window, even after resynchronising."""


class ListenKeyUnknown(ExchangeRejected):
    """-1125: the listen key does not exist (any more); a new one must be created."""


class EndpointGone(ExchangeRejected):
    """404, 410 or -5000: the exchange has removed this endpoint."""


class UnreadableEvent(ExchangeError):  # noqa: N818 - reads as what happened
    """Frame of the private stream cannot be read: an event may be lost."""


class AskLater(ExchangeError):  # noqa: N818 - reads as what happened
    """Request was not sent, or must not be repeated, before `until`."""

    def __init__(self, until: Moment, why: str) -> None:
        super().__init__(why)
        self.until = until


class RateLimited(AskLater):
    """429 or 418, or 403 of its firewall: no request from this address before `until`."""


class TemporarilyRefused(AskLater):
    """Maintenance or overload: no request to this endpoint before `until`."""


class BudgetExhausted(AskLater):
    """Our share of the request weight is used up until `until`."""
