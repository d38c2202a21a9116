"""Slow, failing and changing name lookups, in the place of trio's own resolver, over real sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from random import Random

import pytest
import trio
import trustme
from trio.testing import MockClock

from brain.execution.orders import NotSent
from channels import DropOldest, MetricEvent
from clock import HostClock
from exchange.errors import ExchangeUnavailable
from exchange.market_stream import MarketStreamConnector
from exchange.names import NameResolver, open_names
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.weight_budget import WeightBudget
from simulator import RunningSimulator
from tests.exchange.raw_exchange import Orders, answering, place, raw_exchange

HOST = "fapi.exchange.test"


class Lookups(trio.abc.HostnameResolver):
    """Answers after a delay with these addresses; None: fails."""

    def __init__(self) -> None:
        self.delay_sec = 0.0
        self.addresses: list[str] | None = ["127.0.0.1"]
        self.asked: list[object] = []

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # type: ignore[no-untyped-def]  # noqa: A002
        self.asked.append(host.decode() if isinstance(host, bytes) else host)
        await trio.sleep(self.delay_sec)
        if self.addresses is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, port or 0)) for at in self.addresses]

    async def getnameinfo(self, sockaddr, flags):  # type: ignore[no-untyped-def]
        raise AssertionError("not used")


@pytest.fixture
async def lookups() -> Lookups:
    lookups = Lookups()
    trio.socket.set_custom_hostname_resolver(lookups)
    return lookups


@pytest.fixture
async def names(lookups: Lookups) -> AsyncIterator[NameResolver]:
    async with open_names() as names:
        yield names


def client(url: str, names: NameResolver, *, timeout_sec: float = 0.3) -> BinanceRest:
    clock, server_time = HostClock(), ServerTime()
    return BinanceRest(
        url,
        "key",
        "secret",
        clock=clock,
        budget=WeightBudget(clock, 1200),
        server_time=server_time,
        metrics=DropOldest[MetricEvent]("metrics", 100),
        rng=Random(1),  # noqa: S311 - jitter
        timeout_sec=timeout_sec,
        names=names,
    )


def renamed(url: str) -> str:
    return url.replace("127.0.0.1", HOST)


async def test_a_lookup_that_outlasts_each_try_serves_the_next(
    simulator: RunningSimulator, names: NameResolver, lookups: Lookups
) -> None:
    lookups.delay_sec = 2.0
    async with client(renamed(simulator.addresses.rest_url), names) as rest:
        with pytest.raises(ExchangeUnavailable):
            await rest.symbol_rules()
        await trio.sleep(0.4)
        assert f"the name lookup of {HOST} is slow" in str(rest.trouble())
        await trio.sleep(1.0)
        assert (await rest.symbol_rules()).rules
        assert rest.trouble() is None
    assert lookups.asked == [HOST]


async def test_an_order_whose_lookup_outlasts_its_time_was_not_sent(
    names: NameResolver, lookups: Lookups
) -> None:
    lookups.delay_sec = 60.0
    async with raw_exchange(answering(200)) as exchange:
        orders = Orders(renamed(f"http://127.0.0.1:{exchange.port}"), timeout_sec=0.2, names=names)
        async with orders.rest:
            assert await place(orders) == NotSent("connect")
        assert exchange.connections == 0


async def test_streams_and_requests_share_one_lookup(
    simulator: RunningSimulator, names: NameResolver, lookups: Lookups
) -> None:
    connector = MarketStreamConnector(renamed(simulator.addresses.ws_url), clock=HostClock(), names=names)
    async with client(renamed(simulator.addresses.rest_url), names) as rest, trio.open_nursery() as nursery:
        assert (await rest.symbol_rules()).rules
        stream = await connector.connect(nursery)
        assert (await stream.receive())[0]
        await stream.aclose()
        nursery.cancel_scope.cancel()
    assert lookups.asked == [HOST]


async def test_an_address_that_refuses_gives_way_to_the_next_and_is_tried_last_from_then_on(
    simulator: RunningSimulator, names: NameResolver, lookups: Lookups
) -> None:
    lookups.addresses = ["127.0.0.9", "127.0.0.1"]
    async with client(renamed(simulator.addresses.rest_url), names) as rest:
        assert (await rest.symbol_rules()).rules
    assert await names.addresses(HOST) == ("127.0.0.1", "127.0.0.9")
    lookups.addresses = ["127.0.0.9", "127.0.0.1"]
    connector = MarketStreamConnector(renamed(simulator.addresses.ws_url), clock=HostClock(), names=names)
    async with trio.open_nursery() as nursery:
        await (await connector.connect(nursery)).aclose()
        nursery.cancel_scope.cancel()


async def test_a_lookup_that_fails_is_named_and_tried_again(
    simulator: RunningSimulator, names: NameResolver, lookups: Lookups
) -> None:
    lookups.addresses = None
    async with client(renamed(simulator.addresses.rest_url), names) as rest:
        with pytest.raises(ExchangeUnavailable):
            await rest.symbol_rules()
        assert f"the name lookup of {HOST} fails" in str(rest.trouble())
        lookups.addresses = ["127.0.0.1"]
        assert (await rest.symbol_rules()).rules
        assert rest.trouble() is None


async def test_known_addresses_are_used_while_a_later_lookup_fails(
    lookups: Lookups, autojump_clock: MockClock
) -> None:
    async with open_names() as names:
        assert await names.addresses(HOST) == ("127.0.0.1",)
        lookups.addresses = None
        await trio.sleep(120)
        assert await names.addresses(HOST) == ("127.0.0.1",)
        await trio.sleep(1)
        assert names.trouble() is None
        lookups.addresses = ["127.0.0.2"]
        await names.addresses(HOST)
        await trio.sleep(1)
        assert await names.addresses(HOST) == ("127.0.0.2",)


async def test_an_address_that_failed_is_not_tried_first_again_after_the_next_lookup(
    lookups: Lookups, autojump_clock: MockClock
) -> None:
    async with open_names() as names:
        lookups.addresses = ["127.0.0.9", "127.0.0.1"]
        await names.addresses(HOST)
        names.unreachable(HOST, "127.0.0.9")
        lookups.addresses = ["127.0.0.2", "127.0.0.9", "127.0.0.1"]
        await trio.sleep(61)
        await names.addresses(HOST)
        await trio.sleep(1)
        assert await names.addresses(HOST) == ("127.0.0.1", "127.0.0.9", "127.0.0.2")


async def test_a_lookup_is_given_up_after_ten_seconds(lookups: Lookups, autojump_clock: MockClock) -> None:
    lookups.delay_sec = 1000
    async with open_names() as names:
        with pytest.raises(OSError, match="no answer within 10 s"):
            await names.addresses(HOST)
        assert trio.current_time() == pytest.approx(10)
        assert names.trouble() == f"the name lookup of {HOST} fails: no answer within 10 s"


async def test_addresses_need_no_lookup(names: NameResolver, lookups: Lookups) -> None:
    for address in ("10.0.0.1", "::1", "fe80::1%eth0"):
        assert await names.addresses(address) == (address,)
    assert lookups.asked == []


@pytest.mark.parametrize(("certified", "accepted"), [(HOST, True), ("other.exchange.test", False)])
async def test_the_certificate_is_checked_against_the_name_and_not_the_address(
    names: NameResolver, monkeypatch: pytest.MonkeyPatch, certified: str, accepted: bool
) -> None:
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(certified).configure_cert(served)
    seen: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with trio.move_on_after(5):
            try:
                seen.append(bytes(await stream.receive_some(65_536)))
                body = b'{"symbols":[]}'
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            except trio.BrokenResourceError:
                pass

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr("httpx.create_ssl_context", lambda *_, **__: trusting)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_ssl_over_tcp, serve, 0, served)
        port = listeners[0].transport_listener.socket.getsockname()[1]
        async with client(f"https://{HOST}:{port}", names, timeout_sec=2.0) as rest:
            if accepted:
                assert (await rest.symbol_rules()).rules == {}
                assert f"Host: {HOST}:{port}".encode() in seen[0]
            else:
                with pytest.raises(ExchangeUnavailable):
                    await rest.symbol_rules()
        nursery.cancel_scope.cancel()
