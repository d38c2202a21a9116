"""HTTP client of notices: a connection for each, nothing of an answer but its status, 5 s for all of it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import partial

import httpcore
import httpx
import trio

from exchange.http_client import HTTP_ERRORS
from exchange.wire_logs import keep_addresses_out_of_logs
from settings.notices import NoticeAddress

#: For look-up, connecting, sending, and the head of the answer together.
TIMEOUT_SEC = 5.0
_USER_AGENT = b"position-state-brain"
#: Statuses that refuse this one body.
_BODY_REFUSED = frozenset({400, 413, 422})
#: Digits of a `Retry-After` that are read.
_LONGEST_WAIT = 9


class NotDeliveredError(Exception):
    """The notice did not arrive; the message names no part of the address.

    `wait_sec`: the least time to wait that the address asked for (`Retry-After`).
    """

    def __init__(self, message: str, wait_sec: float = 0.0) -> None:
        super().__init__(message)
        self.wait_sec = wait_sec


class BodyRefusedError(NotDeliveredError):
    """The address refuses this body, and may take another."""


class NoticeClient:
    """Posts notices. Follows no redirect, and reads no body of an answer, however long it is."""

    def __init__(self, *, timeout_sec: float = TIMEOUT_SEC) -> None:
        keep_addresses_out_of_logs()
        self._timeout_sec = timeout_sec
        self._tls: ssl.SSLContext | None = None
        self._making = trio.Lock()

    async def post(self, address: NoticeAddress, body: bytes) -> None:
        """Send one notice. Raises NotDeliveredError."""
        try:
            with trio.fail_after(self._timeout_sec):
                status, wait_sec = await self._status_of(address, body)
        except trio.TooSlowError:
            raise NotDeliveredError(f"no answer within {self._timeout_sec:g} s") from None
        except (*HTTP_ERRORS, OSError, ValueError) as error:
            # The library's own text may contain the address. ValueError: a name that cannot be looked up.
            raise NotDeliveredError(type(error).__name__) from None
        if status in _BODY_REFUSED:
            raise BodyRefusedError(f"HTTP {status}")
        if not 200 <= status < 300:
            raise NotDeliveredError(f"HTTP {status}", wait_sec)

    async def _status_of(self, address: NoticeAddress, body: bytes) -> tuple[int, float]:
        """Return the answer's status, and how long it asks to wait (s)."""
        url = httpcore.URL(address.origin + address.target)
        headers = [
            (b"Host", url.origin.host + (b"" if url.port is None else b":%d" % url.port)),
            (b"Content-Type", b"application/json; charset=utf-8"),
            (b"Content-Length", b"%d" % len(body)),
            (b"User-Agent", _USER_AGENT),
            (b"Connection", b"close"),
        ]
        tls = await self._context() if url.scheme == b"https" else None
        async with (
            httpcore.AsyncConnectionPool(ssl_context=tls, max_keepalive_connections=0) as pool,
            pool.stream("POST", url, headers=headers, content=body) as response,
        ):
            return response.status, _retry_after_sec(response.headers)

    async def _context(self) -> ssl.SSLContext:
        async with self._making:
            if self._tls is None:
                # Some 20 ms of reading certificates, which must not be at the cost of decisions.
                make = partial(httpx.create_ssl_context, trust_env=False)
                self._tls = await trio.to_thread.run_sync(make)
        return self._tls


def _retry_after_sec(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """Return the seconds of `Retry-After`; 0 without one, or where it is a date."""
    text = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return float(text) if text.isdigit() and len(text) <= _LONGEST_WAIT else 0.0
