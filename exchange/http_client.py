"""HTTP client of one host on httpcore: single requests, each with its whole answer.

httpx, which is a layer above httpcore, takes as much processor time again for a request (URLs, cookies,
redirects, authentication), none of which a request to the exchange needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, Protocol

import httpcore
import httpx
import msgspec
import trio

from exchange.bounded_body import (
    ACCEPT_ENCODING,
    LARGEST_ANSWER_BYTES,
    LARGEST_ERROR_BYTES,
    UnreadableBodyError,
    read_body,
)
from exchange.names import NameResolver, ResolvingNetwork
from exchange.refusals import OK
from exchange.wire import header_count
from exchange.wire_logs import keep_addresses_out_of_logs

#: Errors of a request, besides UnreadableBodyError. Their texts may contain the address.
HTTP_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
_CONNECT_SEC = 3.0
_ERROR_BODY_SEC = 1.0
_MOST_CONNECTIONS, _MOST_IDLE = 100, 20
_USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
_USER_AGENT = "position-state-brain"
#: Methods of requests that may have a body, and have none here.
_WITH_LENGTH = frozenset({"POST", "PUT"})

Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class HttpNetwork(Protocol):
    """Carrier of requests; httpcore's pool of connections is one. Raises httpcore's errors."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request and return its answer as soon as the head is there."""

    async def aclose(self) -> None:
        """Close the connections."""


class Response(msgspec.Struct, frozen=True):
    """Answer of any status."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def used_weight(self) -> int | None:
        """Return the weight used by this address in the exchange's current minute, if the answer has it."""
        return header_count(self.headers.get(_USED_WEIGHT, ""))


class HttpClient:
    """Client with connections of its own. Redirects are answers like others; cookies are not kept."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        timeout_sec: float,
        idle_sec: float,
        network: HttpNetwork | None = None,
        names: NameResolver | None = None,
    ) -> None:
        """Take `headers`, sent with each request. A connection is closed when it was idle for `idle_sec`.

        Connecting takes `timeout_sec` at most, and never more than 3 s. `network` carries requests where that
        is not to be sockets; `names` looks up the host's addresses, None: each connection by itself.
        """
        keep_addresses_out_of_logs()
        base = httpx.URL(base_url)
        self._scheme, self._host, self._port = base.raw_scheme, base.raw_host, base.port
        self._path = base.raw_path.rstrip(b"/")
        common = {
            "Host": base.netloc.decode(),
            "Accept": "*/*",
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": _USER_AGENT,
            **headers,
        }
        self._headers = [(name.encode(), value.encode()) for name, value in common.items()]
        self._timeouts = {"connect": min(_CONNECT_SEC, timeout_sec)}
        self._network = network or _sockets(base.scheme == "https", idle_sec, names)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._network.aclose()

    async def request(self, method: str, target: str, trace: Trace | None = None) -> Response:
        """Send one request and read its answer. Raises HTTP_ERRORS and UnreadableBodyError.

        `target` is path and query as they are sent. `trace` is called with each step of httpcore.
        """
        headers = self._headers
        if method in _WITH_LENGTH:
            headers = [*headers, (b"Content-Length", b"0")]
        extensions: dict[str, Any] = {"timeout": self._timeouts}
        if trace is not None:
            extensions["trace"] = trace
        url = httpcore.URL(
            scheme=self._scheme, host=self._host, port=self._port, target=self._path + target.encode()
        )
        response = await self._network.handle_async_request(
            httpcore.Request(method, url, headers=headers, extensions=extensions)
        )
        try:
            if not isinstance(response.stream, AsyncIterable):
                raise TypeError("the answer came from a network for threads")
            answered = httpx.Headers(response.headers)
            body = await _body(response.status, answered, response.stream)
            return Response(response.status, answered, body)
        finally:
            await response.aclose()


def _sockets(encrypted: bool, idle_sec: float, names: NameResolver | None) -> HttpNetwork:
    pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(trust_env=False) if encrypted else None,
        max_connections=_MOST_CONNECTIONS,
        max_keepalive_connections=_MOST_IDLE,
        keepalive_expiry=idle_sec,
    )
    return pool if names is None else ResolvingNetwork(names, pool)


async def _body(status: int, headers: Mapping[str, str], stream: AsyncIterable[bytes]) -> bytes:
    """Return the body; of an error, the part received within 1 s, empty where it is unreadable."""
    if status == OK:
        return await read_body(headers, stream, LARGEST_ANSWER_BYTES)
    with trio.move_on_after(_ERROR_BODY_SEC):
        try:
            return await read_body(headers, stream, LARGEST_ERROR_BYTES)
        except (UnreadableBodyError, *HTTP_ERRORS):
            pass
    return b""
