"""Gateways, overload, maintenance, bodies that hurt, and bans with any `Retry-After`, over real HTTP."""

from __future__ import annotations

import gzip
from email.utils import parsedate_to_datetime
from typing import get_args

import httpx
import msgspec
import pytest

from simulator.faults import RestFault
from tests.simulator.clients import HttpClient, error_code

POSITIONS = "/fapi/v2/positionRisk"
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


async def order(client: HttpClient, fault: RestFault, **more: object) -> tuple[httpx.Response, bool]:
    """Return the answer to an order that the fault struck, and whether it was executed."""
    before = client.exchange.position("BTCUSDT").amount
    client.exchange.faults.rest_faults_next = [fault]
    response = await client.signed("POST", "/fapi/v1/order", **{**ORDER, **more})
    return response, client.exchange.position("BTCUSDT").amount != before


@pytest.mark.parametrize(
    ("fault", "status", "code", "words"),
    [
        ("503_unavailable", 503, -1001, "Service Unavailable."),
        ("503_internal", 503, -1001, "Internal error; unable to process your request. Please try again."),
        ("-1008", 503, -1008, "overloaded"),
        ("-1016", 503, -1016, "no longer available"),
        ("-1109", 400, -1109, "Invalid account"),
        ("-1015", 429, -1015, "Too many new orders."),
    ],
)
async def test_failures_are_refusals_without_effect(
    client: HttpClient, fault: RestFault, status: int, code: int, words: str
) -> None:
    response, executed = await order(client, fault)
    assert (response.status_code, error_code(response), executed) == (status, code, False)
    assert words in response.json()["msg"]
    assert response.headers["X-MBX-USED-WEIGHT-1M"] == "0"


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("408", 408, b""),
        ("-1007", 408, b'{"code":-1007,"msg":"Timeout waiting for response from backend server. Send st'),
        ("-1006", 500, b'{"code":-1006,"msg":"An unexpected response was received from the message bus. Ex'),
        ("bad_gateway", 502, b"<html>"),
        ("503_unknown", 503, b'{"code":-1000,"msg":"Unknown error, please check your request or try aga'),
        ("deep_json", 200, b"[[[["),
        ("huge", 200, b"[]  "),
    ],
)
async def test_unknown_outcomes_hide_an_executed_order_unless_they_strike_before(
    client: HttpClient, fault: RestFault, status: int, body: bytes
) -> None:
    client.exchange.faults.huge_body_mb = 1
    response, executed = await order(client, fault)
    assert (response.status_code, executed) == (status, True)
    assert response.content.startswith(body)
    client.exchange.faults.fail_before_effect = True
    response, executed = await order(client, fault)
    assert (response.status_code, executed) == (status, False)


@pytest.mark.parametrize(("fault", "status"), [("403", 403), ("html_maintenance", 503)])
async def test_the_firewall_and_maintenance_answer_with_a_web_page(
    client: HttpClient, fault: RestFault, status: int
) -> None:
    response, executed = await order(client, fault)
    assert (response.status_code, executed) == (status, False)
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.text.startswith("<html>")
    assert "X-MBX-USED-WEIGHT-1M" not in response.headers


async def test_maintenance_may_answer_a_code_as_a_name_and_with_any_status(client: HttpClient) -> None:
    response, _ = await order(client, "239999")
    assert (response.status_code, list(response.json())) == (503, ["239999"])
    client.exchange.faults.maintenance_status = 200
    response, _ = await order(client, "239999")
    assert response.status_code == 200


async def test_overload_spares_what_reduces_and_closes(client: HttpClient) -> None:
    await client.signed("POST", "/fapi/v1/order", **ORDER)
    response, executed = await order(client, "-1008", side="SELL", reduceOnly="true")
    assert (response.status_code, executed) == (200, True)


async def test_a_body_can_be_nested_deeper_than_any_reader(client: HttpClient) -> None:
    faults = client.exchange.faults
    faults.deep_json_bytes, faults.odd_body_status = 50_000, 400
    response, _ = await order(client, "deep_json")
    assert (response.status_code, response.content) == (400, b"[" * 50_000)


async def test_a_body_can_be_huge_and_still_be_json(client: HttpClient) -> None:
    faults = client.exchange.faults
    faults.huge_body_mb, faults.rest_faults_next = 5, ["huge"]
    response = await client.signed("GET", POSITIONS)
    assert len(response.content) >= 5_000_000
    assert response.json() == []


async def test_a_small_compressed_body_can_be_huge_when_read(client: HttpClient) -> None:
    faults = client.exchange.faults
    faults.huge_body_mb, faults.rest_faults_next = 10, ["gzip_bomb"]
    query = (await client.signed("GET", POSITIONS)).request.url.query.decode()
    faults.rest_faults_next = ["gzip_bomb"]
    headers = {"X-MBX-APIKEY": client.exchange.api_key}
    async with client.http.stream("GET", f"{POSITIONS}?{query}", headers=headers) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        sent = b"".join([piece async for piece in response.aiter_raw()])
    assert len(sent) < 12_000
    unpacked = gzip.decompress(sent)
    assert (len(unpacked), unpacked[:2], unpacked.strip()) == (10_000_002, b"[]", b"[]")


@pytest.mark.parametrize("fault", get_args(RestFault))
async def test_after_any_fault_the_next_request_is_answered(client: HttpClient, fault: RestFault) -> None:
    client.exchange.faults.huge_body_mb = 1
    client.exchange.faults.rest_faults_next = [fault]
    try:
        await client.http.get("/fapi/v1/time", timeout=0.2)
    except httpx.TransportError:
        assert fault in ("hang", "truncated", "reset", "late")
    client.exchange.weights.lift_ban()
    assert (await client.keyed("GET", "/fapi/v1/time")).status_code == 200


@pytest.mark.parametrize(
    ("mode", "header"),
    [("missing", None), ("0", "0"), ("99999999999", "99999999999"), ("soon", "soon"), ("-5", "-5")],
)
async def test_the_header_of_a_refusal_can_be_missing_or_absurd(
    client: HttpClient, mode: str, header: str | None
) -> None:
    faults = client.exchange.faults
    faults.retry_after_header = mode
    for fault in ("429", "418"):
        response, _ = await order(client, fault)
        assert response.status_code == int(fault)
        assert response.headers.get("Retry-After") == header


@pytest.mark.parametrize(("mode", "seconds"), [("http_date", 120), ("past_http_date", -60)])
async def test_the_header_of_a_ban_can_be_a_date(client: HttpClient, mode: str, seconds: int) -> None:
    client.exchange.faults.retry_after_header = mode
    response, _ = await order(client, "418")
    at_ms = parsedate_to_datetime(response.headers["Retry-After"]).timestamp() * 1000
    assert abs(at_ms - client.exchange.host_ms() - seconds * 1000) < 5_000


async def test_the_sentence_of_a_ban_can_name_a_right_a_past_or_no_moment(client: HttpClient) -> None:
    exchange = client.exchange

    async def sentence(mode: str) -> str:
        exchange.faults.banned_until_text = mode
        words: str = (await client.keyed("GET", "/fapi/v1/time")).json()["msg"]
        return words.split(". Please")[0]

    exchange.weights.ban(exchange.host_ms(), 90_000)
    ends_ms = exchange.weights.banned_until_ms
    assert await sentence("real") == f"Way too many requests; IP banned until {ends_ms}"
    assert await sentence("missing") == "Way too many requests; IP banned"
    past_ms = int((await sentence("past")).rpartition(" ")[2])
    assert -65_000 < past_ms - exchange.host_ms() <= -60_000
    assert await sentence("tomorrow") == "Way too many requests; IP banned until tomorrow"


@pytest.mark.parametrize(("how", "status"), [("404", 404), ("410", 410), ("-5000", 404)])
async def test_version_two_of_the_positions_can_be_taken_away(
    client: HttpClient, how: str, status: int
) -> None:
    await client.http.post("/simulator/faults", json={"v2_position_risk": how})
    gone = await client.signed("GET", POSITIONS)
    assert gone.status_code == status
    if how == "-5000":
        assert error_code(gone) == -5000
    else:
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(gone.content)
    assert (await client.signed("GET", "/fapi/v3/positionRisk")).json() == []
    client.exchange.faults.clear()
    assert (await client.signed("GET", POSITIONS)).status_code == 200
