"""Requests signed with a secret, an RSA key or an Ed25519 key, and their API keys and timestamps."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from simulator import RestApi, RestRequest, RestResponse, SimulatedExchange
from simulator.signatures import key_is_genuine, signature
from tests.simulator.clients import HandClock, HttpClient, ask, decoded, error_code, signed_query

POSITIONS = "/fapi/v2/positionRisk"
Sign = Callable[[bytes], bytes]


def ask_raw(exchange: SimulatedExchange, query: str, api_key: str | None = None) -> RestResponse:
    key = exchange.api_key if api_key is None else api_key
    return RestApi(exchange).answer(RestRequest(method="GET", path=POSITIONS, query=query, api_key=key))


def test_a_wrong_signature_is_1022(exchange: SimulatedExchange, clock: HandClock) -> None:
    query = signed_query(exchange, clock.now_ms)
    assert ask_raw(exchange, query).status == 200
    tampered = query.replace("timestamp=", "symbol=BTCUSDT&timestamp=")
    assert error_code(ask_raw(exchange, tampered)) == -1022


def test_the_signature_covers_query_and_body_together(exchange: SimulatedExchange, clock: HandClock) -> None:
    query, body = "symbol=BTCUSDT&side=BUY", f"type=MARKET&quantity=0.01&timestamp={clock.now_ms}"
    signed = f"{body}&signature={signature(exchange.api_secret, query, body)}"
    request = RestRequest(
        method="POST", path="/fapi/v1/order", query=query, body=signed, api_key=exchange.api_key
    )
    assert decoded(RestApi(exchange).answer(request))["symbol"] == "BTCUSDT"


@pytest.mark.parametrize(("api_key", "code", "status"), [("", -2014, 401), ("another-key", -2015, 401)])
def test_without_the_right_api_key_there_is_no_answer(
    exchange: SimulatedExchange, clock: HandClock, api_key: str, code: int, status: int
) -> None:
    response = ask_raw(exchange, signed_query(exchange, clock.now_ms), api_key)
    assert (error_code(response), response.status) == (code, status)


@pytest.mark.parametrize(
    ("offset_ms", "recv_window", "code"),
    [(-5001, None, -1021), (1000, None, -1021), (-5000, None, 0), (999, None, 0), (-9000, 10_000, 0)],
)
def test_the_timestamp_must_lie_within_the_recv_window(
    exchange: SimulatedExchange, clock: HandClock, offset_ms: int, recv_window: int | None, code: int
) -> None:
    extra = {} if recv_window is None else {"recvWindow": recv_window}
    response = ask_raw(exchange, signed_query(exchange, clock.now_ms + offset_ms, **extra))
    assert (0 if response.status == 200 else error_code(response)) == code


def test_clock_skew_makes_a_true_timestamp_1021_and_time_shows_the_skew(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    exchange.faults.clock_skew_ms = 60_000
    assert error_code(ask_raw(exchange, signed_query(exchange, clock.now_ms))) == -1021
    assert decoded(ask(exchange, "GET", "/fapi/v1/time"))["serverTime"] == clock.now_ms + 60_000


@pytest.mark.parametrize("query", ["", "timestamp=abc&signature=0", "timestamp=1700000000000"])
def test_a_missing_or_malformed_mandatory_parameter_is_1102(exchange: SimulatedExchange, query: str) -> None:
    assert error_code(ask_raw(exchange, query)) == -1102


def _rsa() -> tuple[str, Sign]:
    key = generate_rsa_key(65537, 2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), lambda payload: key.sign(payload, PKCS1v15(), SHA256())


def _ed25519() -> tuple[str, Sign]:
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), key.sign


async def ask_signed(client: HttpClient, payload: str, signed: bytes) -> httpx.Response:
    encoded = quote(b64encode(signed).decode(), safe="")
    return await client.keyed("GET", f"{POSITIONS}?{payload}&signature={encoded}")


@pytest.mark.parametrize("made", [_rsa, _ed25519])
async def test_with_a_public_key_only_its_signatures_are_genuine(
    client: HttpClient, made: Callable[[], tuple[str, Sign]]
) -> None:
    client.exchange.public_key_pem, sign = made()
    payload = f"symbol=BTCUSDT&timestamp={client.exchange.exchange_ms()}"
    assert (await ask_signed(client, payload, sign(payload.encode()))).status_code == 200
    other = sign(payload.replace("BTC", "ETH").encode())
    assert error_code(await ask_signed(client, payload, other)) == -1022
    assert error_code(await client.signed("GET", POSITIONS, symbol="BTCUSDT")) == -1022
    unpadded = await client.keyed("GET", f"{POSITIONS}?{payload}&signature=x%21")
    assert error_code(unpadded) == -1022


async def test_the_payload_is_the_query_exactly_as_sent(client: HttpClient) -> None:
    client.exchange.public_key_pem, sign = _ed25519()
    payload = f"note=%e5%b8%81+%20&timestamp={client.exchange.exchange_ms()}"
    assert (await ask_signed(client, payload, sign(payload.encode()))).status_code == 200
    decoded = payload.replace("%20", "+")
    assert error_code(await ask_signed(client, payload, sign(decoded.encode()))) == -1022


async def test_the_signature_must_be_the_last_parameter(client: HttpClient) -> None:
    query = str((await client.signed("GET", POSITIONS, symbol="BTCUSDT")).request.url.query.decode())
    rest, _, last = query.rpartition("&")
    assert (await client.keyed("GET", f"{POSITIONS}?{query}")).status_code == 200
    assert error_code(await client.keyed("GET", f"{POSITIONS}?{last}&{rest}")) == -1022


def test_another_kind_of_key_is_refused() -> None:
    key = generate_private_key(SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="neither"):
        key_is_genuine(pem, "", "")
