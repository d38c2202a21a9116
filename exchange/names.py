"""DNS lookups of the exchange's hosts, in tasks of their own.

With a dead first resolver each lookup takes some seconds. A request whose timeout covers the lookup would
discard its answer each time and never succeed. Here a lookup runs in its own task for up to 10 s, and its
answer is kept for the next request.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpcore
import trio

_PATIENCE_SEC = 10.0
#: Age (seconds) at which a new lookup begins; the old addresses are used until it succeeds.
_FRESH_SEC = 60.0
_SLOW_SEC = 1.0
#: Longest connecting to an address while there is another one to try (seconds).
_CONNECT_SEC = 1.5


@asynccontextmanager
async def open_names() -> AsyncIterator[NameResolver]:
    """Open a resolver; its lookups run within the block."""
    async with trio.open_nursery() as nursery:
        yield NameResolver(nursery)
        nursery.cancel_scope.cancel()


class _Lookup:
    """Lookup under way. When it fails, `error` is set before `done`."""

    def __init__(self) -> None:
        self.began_sec = trio.current_time()
        self.done = trio.Event()
        self.error: OSError | None = None


class NameResolver:
    """Cache of the addresses of each host, in the order in which to try them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        """Run lookups in `nursery`."""
        self._nursery = nursery
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._learnt_sec: dict[str, float] = {}
        self._under_way: dict[str, _Lookup] = {}
        self._failed: dict[str, str] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return the addresses of `host`, cached or looked up now. Raises OSError when the lookup fails.

        Waits only while no address is known. Cancelling the caller does not cancel the lookup.
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
        """Move an address that refused a connection behind the host's others."""
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
        """Add new addresses behind the known ones, so that failed ones are not tried first again."""
        known = [address for address in self._addresses.get(host, ()) if address in found]
        self._addresses[host] = (*known, *(address for address in found if address not in known))

    def _fail(self, host: str, lookup: _Lookup, error: OSError) -> None:
        lookup.error = error
        self._failed[host] = str(error)


async def open_socket(names: NameResolver, host: str, port: int) -> trio.SocketStream:
    """Open a TCP connection to one of the host's addresses. Raises OSError."""
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


class ResolvingNetwork:
    """Carrier of requests to looked-up addresses; `Host` header and TLS certificate check keep the name."""

    def __init__(self, names: NameResolver, pool: httpcore.AsyncConnectionPool) -> None:
        self._names = names
        self._pool = pool

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Try the host's addresses in turn. Raises httpcore's errors."""
        host = request.url.host.decode()
        trace = request.extensions.get("trace")
        if trace is not None:
            # As httpcore reports what it does before the first byte.
            await trace("connection.look_up.started", {})
        try:
            addresses = await self._names.addresses(host)
        except OSError as error:
            raise httpcore.ConnectError(f"name lookup: {error}") from None
        for address in addresses[:-1]:
            try:
                return await self._send(request, host, address, _CONNECT_SEC)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._send(request, host, addresses[-1], None)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _send(
        self, request: httpcore.Request, host: str, address: str, connect_sec: float | None
    ) -> httpcore.Response:
        url, extensions = request.url, {**request.extensions}
        if url.scheme == b"https" and address != host:
            extensions["sni_hostname"] = host
        if connect_sec is not None:
            extensions["timeout"] = {**extensions.get("timeout", {}), "connect": connect_sec}
        try:
            return await self._pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(scheme=url.scheme, host=address.encode(), port=url.port, target=url.target),
                    # These include `Host`, with the name.
                    headers=request.headers,
                    content=request.stream,
                    extensions=extensions,
                )
            )
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            self._names.unreachable(host, address)
            raise


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0].strip("[]"))
    except ValueError:
        return False
    return True
