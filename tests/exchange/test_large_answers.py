"""Answers that are too large, cut or encoded in other ways, from a real socket."""

from __future__ import annotations

import gzip
import resource
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.lowlevel

from channels import DropOldest, MetricEvent
from clock import HostClock
from exchange.errors import ExchangeUnavailable, RateLimited
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.weight_budget import WeightBudget
from tests.background import background

_MB = 1024 * 1024
Send = Callable[[trio.SocketStream], object]


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode()


@asynccontextmanager
async def answering(head_bytes: bytes, chunk: bytes, times: int) -> AsyncIterator[BinanceRest]:
    """Yield a client of a server that sends the head, and the chunk so many times, to every request."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await stream.receive_some(65_536)
            await stream.send_all(head_bytes)
            for _ in range(times):
                await stream.send_all(chunk)
            await stream.aclose()
        except trio.BrokenResourceError:
            pass

    clock, server_time = HostClock(), ServerTime()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        async with BinanceRest(
            f"http://127.0.0.1:{port}",
            "key",
            "secret",
            clock=clock,
            budget=WeightBudget(clock, 1200),
            server_time=server_time,
            metrics=DropOldest[MetricEvent]("metrics", 100),
            rng=Random(1),  # noqa: S311 - jitter
            timeout_sec=5.0,
        ) as rest:
            yield rest
        nursery.cancel_scope.cancel()


class LongestStall:
    """Longest wait of other tasks for their turn (seconds of processor time of this process)."""

    def __init__(self) -> None:
        self.sec = 0.0

    async def watch(self) -> None:
        while True:
            began = time.process_time()
            await trio.lowlevel.checkpoint()
            self.sec = max(self.sec, time.process_time() - began)
            await trio.sleep(0.001)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def gzip_bomb() -> tuple[bytes, bytes, int]:
    """Return an answer of 200 MB of zeros, packed in parts, so that memory peaks where it is read."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(_MB)) for _ in range(200)) + packer.flush()
    return head("Content-Encoding: gzip", f"Content-Length: {len(packed)}"), packed, 1


@pytest.mark.parametrize(
    "answer",
    [
        gzip_bomb,
        lambda: (head(f"Content-Length: {200 * _MB}"), b" " * _MB, 200),
        lambda: (head("Connection: close"), b"[" * _MB, 200),
    ],
    ids=["gzip bomb", "plain", "without a length"],
)
async def test_an_answer_of_200_mb_is_unreadable_and_holds_nothing_up(
    answer: Callable[[], tuple[bytes, bytes, int]],
) -> None:
    stall, (head_bytes, chunk, times) = LongestStall(), answer()
    before_mb = peak_mb()
    with trio.fail_after(30):
        async with answering(head_bytes, chunk, times) as rest, background(stall.watch):
            with pytest.raises(ExchangeUnavailable, match="larger than 16384 KB"):
                await rest.symbol_rules()
    assert peak_mb() - before_mb <= 64
    assert stall.sec <= 0.1


async def test_a_gzip_answer_is_read_and_a_cut_or_damaged_one_is_unreadable() -> None:
    body = gzip.compress(b'{"symbols":[]}' + b" " * 300_000)
    named = head("Content-Encoding: gzip", "Connection: close")
    async with answering(named, body, 1) as rest:
        assert (await rest.symbol_rules()).rules == {}
    for wrong in (body[:-12], b"\x1f\x8b" + bytes(100), zlib.compress(b"{}")):
        async with answering(named, wrong, 1) as rest:
            with pytest.raises(ExchangeUnavailable, match="gzip body"):
                await rest.symbol_rules()
    async with answering(head("Content-Encoding: br", "Connection: close"), b"{}", 1) as rest:
        with pytest.raises(ExchangeUnavailable, match="content encoding 'br'"):
            await rest.symbol_rules()


async def test_a_ban_counts_whatever_its_body_is() -> None:
    for body, length in ((b"x" * _MB, 20 * _MB), (b"", 10)):
        banned = head(f"Content-Length: {length}", "Retry-After: 77", status="418 I'm a teapot")
        async with answering(banned, body, 20 if body else 0) as rest:
            began = trio.current_time()
            with pytest.raises(RateLimited) as limited:
                await rest.symbol_rules()
            assert limited.value.until.monotonic_sec - began == pytest.approx(78, abs=2)
