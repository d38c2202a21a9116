"""The client of notices against real web servers: what counts as arrived, and what ends at its timeout."""

from __future__ import annotations

import pytest
import trio

from actors.notifier.client import BodyRefusedError, NotDeliveredError, NoticeClient
from settings.notices import NoticeAddress, parse_notice_addresses
from tests.actors.notice_endpoint import Mode, notice_endpoint

_BODY = b'{"text":"x"}'


def address_of(port: int, rest: str = "/hook/secret?key=k") -> NoticeAddress:
    (address,) = parse_notice_addresses(f"json+http://127.0.0.1:{port}{rest}")
    return address


async def test_a_notice_arrives_with_its_path_query_and_body() -> None:
    async with notice_endpoint() as endpoint:
        await NoticeClient().post(address_of(endpoint.port), _BODY)
        ((path, body, _),) = endpoint.requests
        assert (path, body) == ("/hook/secret?key=k", {"text": "x"})


@pytest.mark.parametrize(
    ("mode", "why"), [("redirect", "HTTP 302"), ("broken", "HTTP 500"), ("garbage", "RemoteProtocolError")]
)
async def test_an_answer_that_is_no_success_says_why(mode: Mode, why: str) -> None:
    async with notice_endpoint(mode) as endpoint:
        with pytest.raises(NotDeliveredError, match=f"^{why}$"):
            await NoticeClient().post(address_of(endpoint.port), _BODY)
        assert [path for path, _, _ in endpoint.requests] == ["/hook/secret?key=k"]


async def test_a_refused_body_is_an_error_of_its_own() -> None:
    async with notice_endpoint("refusing") as endpoint:
        with pytest.raises(BodyRefusedError):
            await NoticeClient().post(address_of(endpoint.port), _BODY)


async def test_an_endless_body_is_not_read() -> None:
    async with notice_endpoint("endless") as endpoint:
        with trio.fail_after(3):
            await NoticeClient().post(address_of(endpoint.port), _BODY)
        assert endpoint.bytes_sent < 20_000_000


@pytest.mark.parametrize("mode", ["silent", "endless_head"])
async def test_an_address_that_does_not_finish_its_head_is_left_at_the_timeout(mode: Mode) -> None:
    async with notice_endpoint(mode) as endpoint:
        began_sec = trio.current_time()
        with pytest.raises(NotDeliveredError):
            await NoticeClient(timeout_sec=0.3).post(address_of(endpoint.port), _BODY)
        assert trio.current_time() - began_sec < 2.0


async def test_a_dead_address_fails_without_its_name() -> None:
    async with notice_endpoint() as endpoint:
        port = endpoint.port
    with pytest.raises(NotDeliveredError, match=r"^ConnectError$"):
        await NoticeClient().post(address_of(port), _BODY)


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "a..example", "xn--a.example"])
async def test_a_host_that_cannot_be_looked_up_fails_as_one_that_is_away(host: str) -> None:
    address = NoticeAddress("json", f"https://{host}", "/x")
    with pytest.raises(NotDeliveredError) as failed:
        await NoticeClient().post(address, _BODY)
    assert host not in str(failed.value)


async def test_a_server_that_speaks_no_tls_fails_as_one_that_refuses() -> None:
    async with notice_endpoint("garbage") as endpoint:
        (address,) = parse_notice_addresses(f"slack+https://127.0.0.1:{endpoint.port}/x")
        with pytest.raises(NotDeliveredError):
            await NoticeClient(timeout_sec=1.0).post(address, _BODY)
