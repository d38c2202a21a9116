"""The page behind a proxy with TLS: the Host and Origin that it takes, its cookie, the audited address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from brain.identifiers import Symbol
from tests.integration.relay import relay_to
from tests.monitoring.acting_desk import TOKEN, hidden
from tests.monitoring.status_rig import StatusRig, serving
from tests.page.test_rendering import read

HOST = "desk.example.com"
ORIGIN = f"https://{HOST}"
FORM = {"token": TOKEN, "name": "ann"}


class Behind:
    """A browser behind a proxy that passes Host on, and adds the address from which it was reached."""

    def __init__(self, rig: StatusRig, client: httpx.AsyncClient) -> None:
        self.rig = rig
        self.client = client
        self.cookie = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={"host": HOST, "cookie": self.cookie, **headers})

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        sent = {"host": HOST, "origin": ORIGIN, "sec-fetch-site": "same-origin", "cookie": self.cookie}
        forwarded = {"x-forwarded-for": "203.0.113.9, 198.51.100.7"}
        return await self.client.post(path, data=fields, headers={**sent, **forwarded, **headers})

    async def log_in(self) -> httpx.Response:
        answer = await self.post("/act/session", FORM)
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        # No browser would send it over a connection without TLS, and so this client does not either.
        self.client.cookies.clear()
        return answer


@asynccontextmanager
async def behind(**environment: str) -> AsyncIterator[Behind]:
    rig = StatusRig(token=TOKEN, environment=environment)
    async with serving(rig) as direct, relay_to(str(direct.base_url)) as relay:
        url = f"http://127.0.0.1:{relay.port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield Behind(rig, client)


@pytest.fixture
async def proxied() -> AsyncIterator[Behind]:
    async with behind(P33_PAGE_ORIGIN=ORIGIN) as desk:
        yield desk


async def test_without_the_setting_the_name_of_a_proxy_is_refused_and_the_setting_named() -> None:
    async with behind() as desk:
        answer = await desk.get("/act")
        assert answer.status_code == 421 and "P33_PAGE_ORIGIN" in answer.text


async def test_a_symbol_is_held_through_a_proxy_and_the_audit_has_its_clients_address(
    proxied: Behind,
) -> None:
    opened = await proxied.log_in()
    assert (opened.status_code, opened.headers["location"]) == (303, "/act")
    for part in ("__Host-act_session=", "Secure", "HttpOnly", "SameSite=strict", "Path=/;"):
        assert part in opened.headers["set-cookie"]
    assert "Domain" not in opened.headers["set-cookie"]
    form = hidden(read((await proxied.get("/act")).text))
    question = await proxied.post("/act/hold", {**form, "symbol": "BTCUSDT", "reason": "a drill"})
    assert (await proxied.post("/act/hold", hidden(read(question.text)))).status_code == 303
    assert proxied.rig.redis.get(proxied.rig.keys.hold(Symbol("BTCUSDT"))) == b"1"
    [(_, event)] = proxied.rig.redis.xrange("quantum:stream:p33.events")
    assert dict(event)[b"address"] == b"198.51.100.7"
    ended = await proxied.post("/act/end", form)
    assert (
        ended.headers["set-cookie"].startswith('__Host-act_session=""')
        and "Secure" in ended.headers["set-cookie"]
    )


@pytest.mark.parametrize(
    "host", [HOST, HOST.upper(), f"{HOST}:443", f"{HOST}:8443", "localhost:8045", "10.0.0.7"]
)
async def test_pages_answer_to_the_public_name_and_to_this_machine(proxied: Behind, host: str) -> None:
    assert (await proxied.get("/status", host=host)).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", f"{HOST}.evil.example", f"evil.{HOST}", "", f"{HOST}@evil.example"]
)
async def test_no_other_name_is_answered(proxied: Behind, host: str) -> None:
    assert (await proxied.get("/status", host=host)).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": f"http://{HOST}"},
        {"origin": f"{ORIGIN}:8443"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_a_form_of_any_other_origin_is_refused(proxied: Behind, headers: dict[str, str]) -> None:
    answer = await proxied.post("/act/session", FORM, **headers)
    assert (answer.status_code, answer.json()) == (403, {"error": "the form is of another site"})


async def test_a_proxy_that_does_not_pass_host_on_is_named(proxied: Behind) -> None:
    answer = await proxied.post("/act/session", FORM, host="127.0.0.1:8045")
    assert answer.status_code == 403 and f"does not pass Host on ({HOST})" in answer.json()["error"]


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("spoofed, 2001:db8::7", "2001:db8::7"),
        ("198.51.100.7, <b>", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
async def test_the_address_is_the_one_that_the_proxy_has_seen(
    proxied: Behind, forwarded: str, address: str
) -> None:
    await proxied.post("/act/session", FORM, **{"x-forwarded-for": forwarded})
    [line] = [line for _, line in proxied.rig.log_lines if line["event"] == "Session on the page"]
    assert line["address"] == address


@pytest.mark.parametrize("environment", [{}, {"P33_PAGE_ORIGIN": ORIGIN}])
async def test_a_tunnel_beside_it_has_a_cookie_without_tls_and_its_own_address(
    environment: dict[str, str],
) -> None:
    async with behind(**environment) as desk:
        local = {"host": "localhost:8046", "origin": "http://localhost:8046"}
        answer = await desk.post("/act/session", FORM, **local)
        assert answer.headers["set-cookie"].startswith("act_session_8046=")
        assert "Secure" not in answer.headers["set-cookie"]
        [line] = [line for _, line in desk.rig.log_lines if line["event"] == "Session on the page"]
        assert line["address"] == "127.0.0.1"


async def test_two_tunnels_of_one_browser_keep_their_sessions() -> None:
    jar = httpx.Cookies()
    async with behind() as one, behind() as two:
        tunnels = {"localhost:8045": one, "localhost:8046": two}
        for host, desk in tunnels.items():
            desk.cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
            answer = await desk.post("/act/session", FORM, host=host, origin=f"http://{host}")
            name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
            jar.set(name, value)
        for host, desk in tunnels.items():
            desk.cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
            assert "You act as ann" in (await desk.get("/act", host=host)).text
