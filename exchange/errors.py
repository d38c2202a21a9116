"""What can go wrong with the exchange, as far as callers act differently on it.

No text of these errors contains an address with its query, a signature, a listen key or an API key.
"""

from __future__ import annotations

from brain.moment import Moment


class ExchangeError(Exception):
    """The exchange did not give what it was asked for."""


class ExchangeUnavailable(ExchangeError):  # noqa: N818 - reads as what happened
    """No usable answer: a timeout, no connection, a 5xx, a cut or unreadable body, a broken stream.

    What was asked for may have happened or not; asking again later is right.
    """


class HandshakeRefused(ExchangeUnavailable):
    """The exchange answered the WebSocket handshake with an HTTP status other than 101."""


class ExchangeRejected(ExchangeError):  # noqa: N818 - reads as what happened
    """The exchange answered with an error code of its own (-2015: key, address or permission is wrong).

    Asking the same again gives the same answer. Codes: Binance USDⓈ-M Futures, "Error Codes".
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Binance error {code}: {message}")
        self.code = code
        self.message = message


class UnreadablePosition(ExchangeError):  # noqa: N818 - reads as what happened
    """The exchange's row of a symbol cannot be read; the other rows of the answer can."""


class ClockSkewed(ExchangeRejected):
    """-1021: the timestamp lies outside the exchange's receive window, even after resynchronising."""


class ListenKeyUnknown(ExchangeRejected):
    """-1125: the listen key does not exist (any more); a new one must be created."""


class EndpointGone(ExchangeRejected):
    """404, 410 or -5000: the exchange no longer has this endpoint."""


class UnreadableEvent(ExchangeError):  # noqa: N818 - reads as what happened
    """The private stream said something that cannot be read, so what it told cannot be known."""


class AskLater(ExchangeError):  # noqa: N818 - reads as what happened
    """The request was not, or must not be, sent before `until`."""

    def __init__(self, until: Moment, why: str) -> None:
        super().__init__(why)
        self.until = until


class RateLimited(AskLater):
    """The exchange answered 429 or 418, or its firewall 403: no request from this address before `until`."""


class TemporarilyRefused(AskLater):
    """Maintenance or overload: this endpoint is not asked again before `until`."""


class BudgetExhausted(AskLater):
    """Our share of the request weight is used up; there is room again at `until`."""
