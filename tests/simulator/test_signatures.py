"""Requests signed with a secret, an RSA key or an Ed25519 key."""

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

from simulator.signatures import key_is_genuine
from tests.simulator.clients import HttpClient, error_code

POSITIONS = "/fapi/v2/positionRisk"
Sign = Callable[[bytes], bytes]


def _rsa() -> tuple[str, Sign]:
    key = generate_rsa_key(65537, 2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), lambda payload: key.sign(payload, PKCS1v15(), SHA256())


def _ed25519() -> tuple[str, Sign]:
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), key.sign


async def ask(client: HttpClient, payload: str, signed: bytes) -> httpx.Response:
    signature = quote(b64encode(signed).decode(), safe="")
    return await client.keyed("GET", f"{POSITIONS}?{payload}&signature={signature}")


@pytest.mark.parametrize("made", [_rsa, _ed25519])
async def test_with_a_public_key_only_its_signatures_are_genuine(
    client: HttpClient, made: Callable[[], tuple[str, Sign]]
) -> None:
    client.exchange.public_key_pem, sign = made()
    payload = f"symbol=BTCUSDT&timestamp={client.exchange.exchange_ms()}"
    assert (await ask(client, payload, sign(payload.encode()))).status_code == 200
    other = sign(payload.replace("BTC", "ETH").encode())
    assert error_code(await ask(client, payload, other)) == -1022
    assert error_code(await client.signed("GET", POSITIONS, symbol="BTCUSDT")) == -1022
    unpadded = await client.keyed("GET", f"{POSITIONS}?{payload}&signature=x%21")
    assert error_code(unpadded) == -1022


async def test_the_payload_is_the_query_exactly_as_sent(client: HttpClient) -> None:
    client.exchange.public_key_pem, sign = _ed25519()
    payload = f"note=%e5%b8%81+%20&timestamp={client.exchange.exchange_ms()}"
    assert (await ask(client, payload, sign(payload.encode()))).status_code == 200
    decoded = payload.replace("%20", "+")
    assert error_code(await ask(client, payload, sign(decoded.encode()))) == -1022


async def test_the_signature_must_be_the_last_parameter(client: HttpClient) -> None:
    query = str((await client.signed("GET", POSITIONS, symbol="BTCUSDT")).request.url.query.decode())
    rest, _, signature = query.rpartition("&")
    assert (await client.keyed("GET", f"{POSITIONS}?{query}")).status_code == 200
    assert error_code(await client.keyed("GET", f"{POSITIONS}?{signature}&{rest}")) == -1022


def test_another_kind_of_key_is_refused() -> None:
    key = generate_private_key(SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="neither"):
        key_is_genuine(pem, "", "")
