"""Sessions and forms of the page on which operators act: who may, and what is not even read."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from tests.monitoring.acting_desk import DRILL, TOKEN, Desk
from tests.monitoring.status_rig import StatusRig, serving


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    rig = StatusRig(token=TOKEN)
    async with serving(rig) as client:
        yield Desk(rig, client)


@pytest.mark.parametrize("path", ["/act/hold", "/act/trading-state", "/act/end"])
async def test_without_session_or_its_token_nothing_is_done(desk: Desk, path: str) -> None:
    fields = {"symbol": "BTCUSDT", "seen": "x", **DRILL}
    assert (await desk.post(path, fields)).status_code == 403
    await desk.log_in()
    first = desk.csrf
    for csrf in ({}, {"csrf": ""}, {"csrf": "x"}):
        assert (await desk.post(path, {**fields, **csrf})).status_code == 403
    desk.client.cookies.clear()
    await desk.log_in(name="bob")
    assert (await desk.post(path, {**fields, "csrf": first})).status_code == 403
    assert desk.rig.redis.keys() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_a_form_of_another_site_is_refused(desk: Desk, headers: dict[str, str]) -> None:
    await desk.log_in()
    for path in ("/act/session", "/act/hold"):
        fields = {"csrf": desk.csrf, "token": TOKEN, "name": "ann", "symbol": "BTCUSDT", "reason": "x"}
        answer = await desk.post(path, fields, headers)
        assert (answer.status_code, answer.json()) == (403, {"error": "the form is of another site"})


async def test_a_form_that_names_no_site_is_refused(desk: Desk) -> None:
    answer = await desk.client.post("/act/session", data={"token": TOKEN, "name": "ann"})
    assert answer.status_code == 403


async def test_five_wrong_tokens_within_a_minute_refuse_the_right_one_until_it_is_over(desk: Desk) -> None:
    for _ in range(5):
        answer = await desk.log_in("another-token-of-the-desk")
        assert answer.status_code == 403 and "set-cookie" not in answer.headers
    answer = await desk.log_in()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    desk.rig.clock.advance(60)
    assert (await desk.log_in()).status_code == 303
    wrong = [line for _, line in desk.rig.log_lines if line["event"] == "Wrong token on the page"]
    assert len(wrong) == 5 and TOKEN not in str(desk.rig.log_lines)


async def test_the_cookie_is_for_forms_of_these_pages_alone_and_ends_after_eight_hours(desk: Desk) -> None:
    cookie = (await desk.log_in()).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/;", "Max-Age=28800"):
        assert part in cookie
    assert "You act as ann" in (await desk.client.get("/act")).text
    desk.rig.clock.advance(8 * 3600)
    assert "Open a session" in (await desk.client.get("/act")).text
    assert (await desk.ask("hold", {"symbol": "BTCUSDT", "reason": "x"})).status_code == 403


async def test_a_session_is_ended(desk: Desk) -> None:
    await desk.log_in()
    kept = dict(desk.client.cookies)
    assert (await desk.ask("end", {})).status_code == 303
    desk.client.cookies.update(kept)
    assert "Open a session" in (await desk.client.get("/act")).text


async def test_one_more_session_than_thirty_two_ends_the_oldest(desk: Desk) -> None:
    await desk.log_in()
    first = dict(desk.client.cookies)
    for _ in range(32):
        desk.client.cookies.clear()
        desk.rig.clock.advance(1)
        assert (await desk.log_in()).status_code == 303
    assert "You act as ann" in (await desk.client.get("/act")).text
    desk.client.cookies.clear()
    desk.client.cookies.update(first)
    assert "Open a session" in (await desk.client.get("/act")).text


@pytest.mark.parametrize("name", ["", "an operator", "<b>", "x" * 41, "a:b"])
async def test_a_name_that_cannot_be_stored_opens_no_session(desk: Desk, name: str) -> None:
    answer = await desk.log_in(name=name)
    assert answer.status_code == 400 and "name: 1 to 40" in answer.text


async def test_only_small_forms_of_their_kind_are_read(desk: Desk) -> None:
    await desk.log_in()
    headers = {"origin": desk.origin, "content-type": "application/x-www-form-urlencoded"}
    post = desk.client.post
    assert (await post("/act/hold", content=b"x" * 4097, headers=headers)).status_code == 413
    assert (await post("/act/hold", content=b"x" * 4096, headers=headers)).status_code == 403
    assert (await post("/status", content=b"x", headers=headers)).status_code == 413
    assert (await post("/actual", content=b"x", headers=headers)).status_code == 413
    assert (await desk.client.request("GET", "/act", content=b"x", headers=headers)).status_code == 413
    assert (await post("/act/hold", content=b"a=%ff", headers=headers)).status_code == 400
    assert (await post("/act/hold", content=b"a=1&a=2", headers=headers)).status_code == 400
    assert (await post("/act/hold", content=b"&".join([b"a=1"] * 13), headers=headers)).status_code == 400
    json_headers = {**headers, "content-type": "application/json"}
    assert (await post("/act/hold", content=b"{}", headers=json_headers)).status_code == 415
    assert (await desk.ask("other", {})).status_code == 404
    assert (await desk.client.get("/act/hold")).status_code == 405

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x=1"

    assert (await post("/act/hold", content=chunks(), headers=headers)).status_code == 413


async def test_the_forms_can_name_their_origin_and_load_nothing_from_elsewhere(desk: Desk) -> None:
    headers = (await desk.client.get("/act")).headers
    assert headers["referrer-policy"] == "same-origin"
    assert "form-action 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def incomplete(desk: Desk) -> bytes:
    """Return a form of which the last byte is missing."""
    host = desk.client.base_url.netloc.decode()
    return (
        f"POST /act/hold HTTP/1.1\r\nhost: {host}\r\norigin: {desk.origin}\r\n"
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: 4\r\n\r\na=1"
    ).encode()


async def test_a_form_that_does_not_come_to_its_end_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.http.act_routes._BODY_SEC", 0.05)
    url = desk.client.base_url
    async with await trio.open_tcp_stream(url.host, url.port or 80) as stream:
        await stream.send_all(incomplete(desk))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_leaves_within_a_form_is_no_error_of_the_service(desk: Desk) -> None:
    url = desk.client.base_url
    stream = await trio.open_tcp_stream(url.host, url.port or 80)
    await stream.send_all(incomplete(desk))
    await trio.testing.wait_all_tasks_blocked(0.05)
    await stream.aclose()
    for _ in range(5):
        assert (await desk.client.get("/act")).status_code == 200
    assert {method for method, _ in desk.rig.log_lines} <= {"info", "debug"}
