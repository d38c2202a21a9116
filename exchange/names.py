"""Looks up the exchange's host names, apart from the requests that wait for them.

A request's time-out covers the lookup, too, and would throw its answer away: with a dead first resolver each
lookup takes some seconds, and no request would ever get through. Here a lookup runs in a task of its own for
up to 10 s, and its answer is kept for the next request.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpx
import trio

_PATIENCE_SEC = 10.0
#: After that, addresses are used all the same while a new lookup runs.
_FRESH_SEC = 60.0
_SLOW_SEC = 1.0
#: Per address, while there is another one to try.
_CONNECT_SEC = 1.5


@asynccontextmanager
async def open_names() -> AsyncIterator[NameResolver]:
    """A resolver whose lookups run for the length of a block."""
    async with trio.open_nursery() as nursery:
        yield NameResolver(nursery)
        nursery.cancel_scope.cancel()


class _Lookup:
    """One lookup under way. `error` is set before `done` where it failed."""

    def __init__(self) -> None:
        self.began_sec = trio.current_time()
        self.done = trio.Event()
        self.error: OSError | None = None


class NameResolver:
    """Remembers the addresses of each host, in the order in which to try them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        """Lookups run in `nursery`."""
        self._nursery = nursery
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._learnt_sec: dict[str, float] = {}
        self._under_way: dict[str, _Lookup] = {}
        self._failed: dict[str, str] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of `host`, known or looked up now. Raises OSError when the lookup fails.

        Waits for a lookup only while no address is known. A caller that gives up waiting does not end it.
        """
        if _is_address(host):
            return (host,)
        known = self._addresses.get(host)
        if known is not None and trio.current_time() < self._learnt_sec[host] + _FRESH_SEC:
            return known
        lookup = self._under_way.get(host)
        if lookup is None:
            lookup = self._under_way[host] = _Lookup()
            self._nursery.start_soon(self._look_up, host, lookup)
        if known is not None:
            return known
        await lookup.done.wait()
        if lookup.error is not None:
            raise lookup.error.with_traceback(None)
        return self._addresses[host]

    def unreachable(self, host: str, address: str) -> None:
        """No connection came about to `address`: try the host's others first."""
        known = self._addresses.get(host, ())
        if address in known:
            self._addresses[host] = (*(other for other in known if other != address), address)

    def trouble(self) -> str | None:
        """Return the host that has no address yet, because its lookup is slow or fails; None: none."""
        now_sec = trio.current_time()
        for host, lookup in self._under_way.items():
            took_sec = now_sec - lookup.began_sec
            if host not in self._addresses and took_sec > _SLOW_SEC:
                return f"the name lookup of {host} is slow: {took_sec:.0f} s so far"
        for host, why in self._failed.items():
            if host not in self._addresses:
                return f"the name lookup of {host} fails: {why}"
        return None

    async def _look_up(self, host: str, lookup: _Lookup) -> None:
        try:
            with trio.fail_after(_PATIENCE_SEC):
                found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            self._learn(host, dict.fromkeys(str(entry[4][0]) for entry in found))
            self._learnt_sec[host] = trio.current_time()
            self._failed.pop(host, None)
        except trio.TooSlowError:
            self._fail(host, lookup, OSError(f"no answer within {_PATIENCE_SEC:g} s"))
        except (OSError, UnicodeError) as error:
            self._fail(host, lookup, OSError(getattr(error, "strerror", None) or type(error).__name__))
        finally:
            del self._under_way[host]
            lookup.done.set()

    def _learn(self, host: str, found: Collection[str]) -> None:
        """Keep the order of known addresses, so that those which failed are not tried first again."""
        known = [address for address in self._addresses.get(host, ()) if address in found]
        self._addresses[host] = (*known, *(address for address in found if address not in known))

    def _fail(self, host: str, lookup: _Lookup, error: OSError) -> None:
        lookup.error = error
        self._failed[host] = str(error)


async def open_socket(names: NameResolver, host: str, port: int) -> trio.SocketStream:
    """A TCP connection to one of the host's addresses. Raises OSError."""
    addresses = await names.addresses(host)
    for address in addresses[:-1]:
        try:
            with trio.fail_after(_CONNECT_SEC):
                return await trio.open_tcp_stream(address, port)
        except (OSError, trio.TooSlowError):
            names.unreachable(host, address)
    try:
        return await trio.open_tcp_stream(addresses[-1], port)
    except BaseException:
        names.unreachable(host, addresses[-1])
        raise


class ResolvingTransport(httpx.AsyncBaseTransport):
    """Sends requests to looked-up addresses; the `Host` header and TLS certificate checks keep the name."""

    def __init__(self, names: NameResolver) -> None:
        self._names = names
        self._sockets = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Try the host's addresses in turn. Raises httpx errors."""
        host = request.url.host
        try:
            addresses = await self._names.addresses(host)
        except OSError as error:
            raise httpx.ConnectError(f"name lookup: {error}", request=request) from None
        for address in addresses[:-1]:
            try:
                return await self._send(request, host, address, _CONNECT_SEC)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._send(request, host, addresses[-1], None)

    async def aclose(self) -> None:
        await self._sockets.aclose()

    async def _send(
        self, request: httpx.Request, host: str, address: str, connect_sec: float | None
    ) -> httpx.Response:
        extensions = {**request.extensions}
        if request.url.scheme == "https" and address != host:
            extensions["sni_hostname"] = host
        if connect_sec is not None:
            extensions["timeout"] = {**extensions.get("timeout", {}), "connect": connect_sec}
        try:
            return await self._sockets.handle_async_request(
                httpx.Request(
                    request.method,
                    request.url.copy_with(host=address),
                    # Among them `Host`, with the name.
                    headers=request.headers,
                    stream=request.stream,
                    extensions=extensions,
                )
            )
        except (httpx.ConnectError, httpx.ConnectTimeout):
            self._names.unreachable(host, address)
            raise


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0].strip("[]"))
    except ValueError:
        return False
    return True
