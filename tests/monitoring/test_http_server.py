from __future__ import annotations

from collections import Counter

import httpx
import pytest
import trio
import trio.testing
from starlette.types import Receive, Scope, Send

from monitoring.http.server import HttpServer, open_listeners
from monitoring.page_view.source import PageSource
from page.rendering import ASSETS, asset
from settings.hosts import is_loopback_host
from tests.monitoring.status_rig import StatusRig, serving

#: How a connection says that it speaks HTTP/2 without having been asked.
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def raw(client: httpx.AsyncClient, request: bytes, *, hang_up: bool = False) -> bytes:
    """All that comes back for `request` until the server closes; `hang_up`: nothing follows the request."""
    url = client.base_url
    answer = b""
    async with await trio.open_tcp_stream(url.host, url.port or 80) as stream:
        try:
            await stream.send_all(request)
            if hang_up:
                await stream.send_eof()
            while received := await stream.receive_some():
                answer += received
        except trio.BrokenResourceError:
            # A server that refuses in the middle of a request may reset.
            pass
    return answer


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/status", "/", "/nothing/here"])
async def test_no_answer_may_be_stored(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


async def test_an_unknown_path_is_reported_in_json(client: httpx.AsyncClient) -> None:
    for path in ("/nothing/here", "/status/", "/metrics/x"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


PATHS = (
    "/",
    "/history",
    "/waiting",
    "/explanation",
    "/page/page.js",
    "/metrics",
    "/healthz",
    "/readyz",
    "/status",
)
COSTLY = ("/", "/history", "/waiting", "/explanation", "/page/page.js", "/status")
ALWAYS = ("/metrics", "/healthz", "/readyz")


@pytest.mark.parametrize("path", [*PATHS, "/nothing/here"])
async def test_no_answer_may_be_embedded_or_run_anything_from_elsewhere(path: str) -> None:
    async with serving(StatusRig()) as client:
        headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["content-security-policy"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("head", ["GET %s HTTP/1.0", "GET %s HTTP/1.1\r\nConnection: close"])
async def test_a_client_that_asks_once_is_left_behind_the_answer(
    client: httpx.AsyncClient, path: str, head: str
) -> None:
    """As health checks of load balancers and shell scripts do: they read until the connection ends."""
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(f"{head % path}\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        with trio.fail_after(5):
            async for part in stream:
                answer += part
    assert answer.startswith(b"HTTP/1.1 ")
    assert b"\r\n\r\n" in answer


async def test_assets_are_served_by_name_and_nothing_else(client: httpx.AsyncClient) -> None:
    for name, kind in ASSETS.items():
        answer = await client.get(f"/page/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content == asset(name)
    for name in ("head.html", "..%2frendering.py", "../../pyproject.toml", "%00", ""):
        assert (await client.get(f"/page/{name}")).status_code == 404


async def test_a_flood_is_refused_and_keeps_no_client_from_scraping(client: httpx.AsyncClient) -> None:
    statuses = Counter([(await client.get(COSTLY[n % 4])).status_code for n in range(200)])
    assert statuses[429] == 80
    refused = await client.get("/")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    for path in ALWAYS:
        for _ in range(50):
            assert (await client.get(path)).status_code == 200


async def test_after_a_flood_the_page_comes_back(rig: StatusRig, client: httpx.AsyncClient) -> None:
    while (await client.get("/")).status_code == 200:
        pass
    rig.clock.advance(1)
    assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8045", True),
        ("LOCALHOST", True),
        ("127.0.0.1:8045", True),
        ("[::1]:8045", True),
        ("10.0.0.7", True),
        ("evil.example", False),
        ("localhost.evil.example:8045", False),
        ("127.0.0.1.evil.example", False),
        ("[::1].evil.example", False),
        ("", False),
    ],
)
async def test_names_that_others_give_out_are_not_this_machine(host: str, known: bool) -> None:
    async with serving(StatusRig()) as client:
        for path in COSTLY:
            answer = await client.get(path, headers={"host": host})
            assert (answer.status_code == 421) is not known
        for path in ALWAYS:
            assert (await client.get(path, headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    ("bind", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False),  # noqa: S104
     ("10.0.0.7", False), ("::", False), ("brain.internal", False)],
)  # fmt: skip
def test_an_address_is_reported_as_loopback_or_reachable(bind: str, loopback: bool) -> None:
    assert is_loopback_host(bind) is loopback


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_but_reading_is_allowed(method: str, client: httpx.AsyncClient) -> None:
    for path in PATHS:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()) == (405, {"error": "Method Not Allowed"})
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_head_answers_like_get_without_a_body(client: httpx.AsyncClient) -> None:
    for path in ("/", "/page/page.css", "/metrics", "/healthz", "/readyz", "/status"):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


async def test_a_request_with_a_body_is_refused_unread() -> None:
    head = b"GET /status HTTP/1.1\r\nhost: x\r\n"
    async with serving(StatusRig()) as client:
        for body in (
            b"content-length: 1000000000\r\n\r\n" + b"x" * 100_000,
            b"transfer-encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 0x10000,
        ):
            assert (await raw(client, head + body)).startswith(b"HTTP/1.1 413 ")
        assert (await client.get("/healthz")).status_code == 200


async def test_an_endless_head_is_refused(client: httpx.AsyncClient) -> None:
    answer = await raw(client, b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 20_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /\xff\xfe%zz HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        HTTP2 + b"\x00\xff\xff\x00" * 40,
    ],
)
async def test_noise_ends_one_connection_and_no_other(noise: bytes, client: httpx.AsyncClient) -> None:
    await raw(client, noise, hang_up=True)
    assert (await client.get("/healthz")).status_code == 200


async def test_a_fault_of_ours_is_in_the_log_and_ends_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = StatusRig()
    monkeypatch.setattr(PageSource, "content", None)
    async with serving(rig) as client:
        rig.logged.calls.clear()
        for _ in range(2):
            answer = await client.get("/")
            assert (answer.status_code, answer.json()) == (500, {"error": "the log says why"})
        assert (await client.get("/healthz")).status_code == 200
    (level, line), *_ = rig.log_lines
    assert (level, line["event"], line["path"]) == ("error", "HTTP request failed", "/")
    assert isinstance(line["exc_info"], TypeError)


async def test_an_error_in_the_protocol_library_breaks_one_connection(rig: StatusRig) -> None:
    priorities = b"".join(
        b"\x00\x00\x05\x02\x00" + (2 * number + 1).to_bytes(4, "big") + bytes(4) + b"\x05"
        for number in range(1001)
    )
    async with serving(rig) as client:
        rig.logged.calls.clear()
        await raw(client, HTTP2 + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + priorities, hang_up=True)
        assert (await client.get("/healthz")).status_code == 200
    ((level, line),) = rig.log_lines
    assert (level, line["event"]) == ("warning", "HTTP connection failed")
    assert "TooManyStreamsError" in str(line["why"])


async def test_a_client_that_does_not_read_cannot_keep_the_server_from_ending() -> None:
    async def too_much(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})

    listeners = await open_listeners("127.0.0.1", 0)
    server = HttpServer(too_much, log=StatusRig().log)
    scope, ended = trio.CancelScope(), trio.Event()

    async def serve() -> None:
        with scope:
            await server.serve(listeners)
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with await trio.open_tcp_stream(*listeners[0].socket.getsockname()) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert await stream.receive_some(10)
            # What comes from here on fills the connection, and then the server waits for us.
            await trio.testing.wait_all_tasks_blocked(0.1)
            scope.cancel()
            with trio.move_on_after(3):
                await ended.wait()
            ended_unread = ended.is_set()
    assert ended_unread


async def test_with_too_many_connections_the_oldest_goes(client: httpx.AsyncClient) -> None:
    url = client.base_url
    streams = [await trio.open_tcp_stream(url.host, url.port or 80) for _ in range(64)]
    assert (await client.get("/healthz")).status_code == 200
    assert await streams[0].receive_some() == b""
    await streams[1].send_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await streams[1].receive_some()).startswith(b"HTTP/1.1 200 ")
    for stream in streams:
        await stream.aclose()
