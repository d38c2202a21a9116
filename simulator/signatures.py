"""Signatures of requests: HMAC-SHA256 with a shared secret, or RSA and Ed25519 with a public key.

Source: USDⓈ-M Futures, "General Info": HMAC as hex; RSA (PKCS#1 v1.5 with SHA-256) and Ed25519 as base64.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as BadBase64Error
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from simulator.parameters import unsigned


def signature(secret: str, query: str, body: str = "") -> str:
    """Return the HMAC signature of a request: lowercase hex."""
    return _hmac(secret, unsigned(query) + unsigned(body))


def hmac_is_genuine(secret: str, given: str, payload: str) -> bool:
    """Compare with what the secret gives; upper case is accepted, too."""
    return hmac.compare_digest(given.lower().encode(), _hmac(secret, payload).encode())


def key_is_genuine(public_key_pem: str, given: str, payload: str) -> bool:
    """Verify with an RSA or Ed25519 key. ``ValueError`` if the text is neither."""
    key = _public_key(public_key_pem)
    try:
        signed = b64decode(given, validate=True)
        if isinstance(key, RSAPublicKey):
            key.verify(signed, payload.encode(), PKCS1v15(), SHA256())
        else:
            key.verify(signed, payload.encode())
    except (BadBase64Error, InvalidSignature):
        return False
    return True


def _hmac(secret: str, payload: str) -> str:
    return hmac.new(secret.encode(), payload.encode(), sha256).hexdigest()


@lru_cache(maxsize=8)
def _public_key(pem: str) -> RSAPublicKey | Ed25519PublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
        raise ValueError("neither an RSA nor an Ed25519 public key")  # noqa: TRY004 - the text is at fault
    return key
