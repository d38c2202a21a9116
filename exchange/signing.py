"""Signatures of requests: HMAC-SHA256, RSA or Ed25519 over the query string as it is sent.

Source: Binance USDⓈ-M Futures, "General Info", SIGNED endpoints. HMAC signatures are hexadecimal digits;
those of RSA (PKCS#1 v1.5 with SHA-256) and Ed25519 are base64, percent-encoded in the query. The signature
comes last.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

#: Oldest age of a request at the exchange, by the exchange's clock (ms).
RECEIVE_WINDOW_MS = 5000

_PEM_BEGINS = "-----BEGIN "


class Signer:
    """Signer; its secret is in no repr. `kind`: `HMAC`, `RSA` or `Ed25519`, by the secret's content."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        """Take `api_secret`, the text that Binance issued, or a private key in PEM.

        Raises ValueError or TypeError for a PEM text that is no unencrypted RSA or Ed25519 key.
        """
        self.headers = {"X-MBX-APIKEY": api_key}
        self.kind, self._sign = _signature_by(api_secret)

    def __repr__(self) -> str:
        return "Signer(…)"

    def signed_query(
        self, params: dict[str, str], timestamp_ms: int, recv_window_ms: int = RECEIVE_WINDOW_MS
    ) -> str:
        """Return a signed query string: `params`, the time (the exchange's clock), the signature."""
        query = urlencode({**params, "recvWindow": str(recv_window_ms), "timestamp": str(timestamp_ms)})
        return f"{query}&signature={quote(self.signature(query), safe='')}"

    def signature(self, payload: str) -> str:
        """Return the signature of `payload`, before percent-encoding."""
        return self._sign(payload.encode())


def _signature_by(secret: str) -> tuple[str, Callable[[bytes], str]]:
    if not secret.lstrip().startswith(_PEM_BEGINS):
        keyed = hmac.new(secret.encode(), digestmod=hashlib.sha256)

        def sign(payload: bytes) -> str:
            signing = keyed.copy()
            signing.update(payload)
            return signing.hexdigest()

        return "HMAC", sign
    private = load_pem_private_key(secret.encode(), password=None)
    if isinstance(private, Ed25519PrivateKey):
        return "Ed25519", lambda payload: base64.b64encode(private.sign(payload)).decode()
    if isinstance(private, RSAPrivateKey):
        return "RSA", lambda payload: base64.b64encode(private.sign(payload, PKCS1v15(), SHA256())).decode()
    raise ValueError("the PEM key is neither RSA nor Ed25519")
