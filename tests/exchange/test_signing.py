"""Signatures by each kind of key, checked on the query as the exchange receives it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from random import Random
from urllib.parse import unquote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exchange.signing import Signer

ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65_537, 2048)


def pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def check_hmac(signature: str, payload: bytes) -> None:
    assert signature == hmac.new(b"the-secret", payload, hashlib.sha256).hexdigest()


def check_ed25519(signature: str, payload: bytes) -> None:
    ED25519.public_key().verify(base64.b64decode(signature, validate=True), payload)


def check_rsa(signature: str, payload: bytes) -> None:
    RSA.public_key().verify(base64.b64decode(signature, validate=True), payload, PKCS1v15(), SHA256())


@pytest.mark.parametrize(
    ("secret", "kind", "check"),
    [
        ("the-secret", "HMAC", check_hmac),
        (pem(ED25519), "Ed25519", check_ed25519),
        (pem(RSA), "RSA", check_rsa),
    ],
)
def test_the_signature_is_that_of_the_query_as_sent_and_comes_last(
    secret: str, kind: str, check: Callable[[str, bytes], None]
) -> None:
    signer = Signer("the-key", secret)
    assert signer.kind == kind
    assert secret not in repr(signer)
    rng = Random(1)  # noqa: S311 - test data
    for _ in range(20):
        params = {"symbol": "币安人生USDT", "x": str(rng.random()), "y": "a b+c/d&e="}
        query = signer.signed_query(params, rng.randrange(10**12, 10**13))
        # Nothing in it is left for a client of HTTP to encode.
        sent = httpx.URL(f"https://fapi.binance.com/fapi/v2/positionRisk?{query}").query
        payload, _, signature = sent.partition(b"&signature=")
        assert sent.decode() == query
        assert b"&" not in signature
        check(unquote(signature.decode()), payload)
